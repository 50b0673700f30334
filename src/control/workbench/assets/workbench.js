/*
 * The workbench's script. Every page works without it: it only makes forms and links nicer. It listens on the document,
 * so what htmx swaps in later needs no setting up, and finds its work by attributes:
 *
 *   data-copy="ID"            a button that copies the text of the element with that id
 *   data-enabled-by="ID"      a button that waits for a box to be checked, or for a field to hold its own data-equals
 *   data-shown-by="ID"        a part of a form that belongs to a radio button or box, shown while that one is checked
 *   data-tree                 permissions: [data-group] > [data-group-box], [data-group-count], [data-perm] > a box
 *   data-filter="ID"          a search field that filters the tree with that id; [data-filter-result] says how many match
 *   data-preset="N"           a radio button that checks the boxes whose data-presets has the word N
 *   data-summary="WHAT"       a place in the live summary; [data-own] permissions are over Portcullis, and not counted
 *   data-use, data-use-line   a button that puts its text in place of a line of the field named by data-use-for
 *   data-add-line="TEXT"      a button that adds a line to the field named by data-use-for
 *   data-tabs                 a container whose [data-tab] sections become tabs
 *   data-dialog               a link whose page's [data-dialog-body] opens in a <dialog>
 *   data-palette              the link to the search page, which opens as the command palette (Ctrl or Cmd and K)
 *   data-secret-page          the page that shows a secret: it takes the address of data-key-url and forgets the secret
 *
 * Nothing is kept in the browser's storage, nothing is sent anywhere but to this server.
 */
"use strict";

(() => {
    const one = (selector, root = document) => root.querySelector(selector);
    const all = (selector, root = document) => Array.from(root.querySelectorAll(selector));
    const byId = (id) => (id ? document.getElementById(id) : null);

    document.documentElement.classList.add("js");

    // Telling what happened.

    let live = null;

    /** Says something to screen readers. */
    function announce(text) {
        const host = one("dialog[open]") || document.body;
        if (!live || live.parentNode !== host) {
            live?.remove();
            live = document.createElement("p");
            live.className = "vh";
            live.setAttribute("role", "status");
            host.append(live);
        }
        live.textContent = "";
        window.setTimeout(() => { if (live) live.textContent = text; }, 60);
    }

    // Copying.

    /** What a person would copy from an element. */
    function textOf(element) {
        return "value" in element && element.tagName !== "LI" ? element.value : element.textContent.trim();
    }

    /** Puts text on the clipboard; without the clipboard's permission (plain http) by way of a selection. */
    async function putOnClipboard(text) {
        if (navigator.clipboard && window.isSecureContext) {
            await navigator.clipboard.writeText(text);
            return;
        }
        const field = document.createElement("textarea");
        field.value = text;
        field.className = "vh";
        (one("dialog[open]") || document.body).append(field);
        field.select();
        const done = document.execCommand("copy");
        field.remove();
        if (!done) throw new Error("copying is not allowed here");
    }

    /** Shows for a moment on the button itself what came of it. */
    function showOnButton(button, text) {
        const label = button.firstChild;
        button.dataset.label ??= label.nodeValue;
        label.nodeValue = text;
        window.clearTimeout(Number(button.dataset.timer));
        button.dataset.timer = String(window.setTimeout(() => { label.nodeValue = button.dataset.label; }, 1600));
    }

    async function copy(button) {
        const source = byId(button.dataset.copy);
        if (!source) return;
        try {
            await putOnClipboard(textOf(source));
            button.focus();
            showOnButton(button, "Copied");
            announce("Copied");
        } catch {
            window.getSelection()?.selectAllChildren(source);
            announce("Copying failed. The text is selected: press Ctrl C.");
        }
    }

    // Buttons that wait, parts that belong to a choice.

    function isReady(condition) {
        return condition.type === "checkbox" ? condition.checked : condition.value === condition.dataset.equals;
    }

    function settleWaiting(root = document) {
        for (const button of all("[data-enabled-by]", root)) {
            const condition = byId(button.dataset.enabledBy);
            if (condition) button.disabled = !isReady(condition);
        }
    }

    function settleShown(root = document) {
        for (const part of all("[data-shown-by]", root)) {
            const choice = byId(part.dataset.shownBy);
            if (choice) part.hidden = !choice.checked;
        }
    }

    // Permissions.

    const boxesOf = (group) => all("[data-perm] input", group);

    /** A group's box says whether all, some or none of its permissions are chosen. */
    function settleGroup(group) {
        const boxes = boxesOf(group);
        const chosen = boxes.filter((box) => box.checked).length;
        const box = one("[data-group-box]", group);
        if (box) {
            box.removeAttribute("name");
            box.checked = chosen > 0 && chosen === boxes.length;
            box.indeterminate = chosen > 0 && chosen < boxes.length;
        }
        const count = one("[data-group-count]", group);
        if (count) count.textContent = `${chosen} of ${boxes.length}`;
    }

    /** A group's box steers those of its permissions that the search shows. */
    function steerGroup(box) {
        const group = box.closest("[data-group]");
        for (const child of boxesOf(group)) {
            if (!child.closest("[data-perm]").hidden) child.checked = box.checked;
        }
        settleGroup(group);
        settlePreset(box.form);
    }

    const presetsOf = (box) => (box.dataset.presets || "").split(" ");

    function applyPreset(radio) {
        const form = radio.form;
        if (radio.dataset.preset !== "") {
            for (const box of all("[data-perm] input", form)) box.checked = presetsOf(box).includes(radio.dataset.preset);
        }
        all("[data-group]", form).forEach(settleGroup);
    }

    /** Once a box differs from the preset, the choice is one's own: the radio button without a preset. */
    function settlePreset(form) {
        const radio = form && one("[data-preset]:checked", form);
        if (!radio || radio.dataset.preset === "") return;
        const same = all("[data-perm] input", form).every((box) => box.checked === presetsOf(box).includes(radio.dataset.preset));
        const own = one('[data-preset=""]', form);
        if (!same && own) own.checked = true;
    }

    function filterTree(field) {
        const tree = byId(field.dataset.filter);
        if (!tree) return;
        const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
        let shown = 0;
        let total = 0;
        for (const group of all("[data-group]", tree)) {
            let here = 0;
            for (const row of all("[data-perm]", group)) {
                const text = row.textContent.toLowerCase();
                row.hidden = !words.every((word) => text.includes(word));
                total += 1;
                if (!row.hidden) here += 1;
            }
            group.hidden = here === 0;
            shown += here;
        }
        const result = one(`[data-filter-result="${CSS.escape(tree.id)}"]`);
        if (result) result.textContent = words.length === 0 ? `${total} permissions` : `${shown} of ${total} permissions match`;
    }

    // The live summary.

    const MINUTE = 60_000;

    const labelOf = (input) => input?.labels?.[0]?.textContent.trim() || "";

    /** How instants are written everywhere: UTC, to the minute. */
    function utc(milliseconds) {
        return `${new Date(milliseconds).toISOString().slice(0, 16).replace("T", " ")} UTC`;
    }

    function summarizePermissions(form) {
        const boxes = all("[data-perm]:not([data-own]) input", form);
        const chosen = boxes.filter((box) => box.checked);
        const kinds = ["read", "write", "delete"]
            .map((kind) => [kind, chosen.filter((box) => box.closest("[data-perm]").dataset.access === kind).length])
            .filter(([, count]) => count > 0)
            .map(([kind, count]) => `${count} ${kind}`);
        const preset = one('[data-preset]:checked:not([data-preset=""])', form);
        const name = preset ? labelOf(preset) : "";
        return [`${chosen.length} of ${boxes.length}${name && ` · ${name}`}`, kinds.join(", ") || "Choose at least one"];
    }

    function summarizeExpiry(form) {
        const choice = one('[name="expiry"]:checked', form);
        if (!choice) return ["Not chosen yet", ""];
        if (choice.value === "none") return ["Never", "Works until it is rotated or revoked"];
        const written = choice.value === "date" ? one('[name="expiry_at"]', form)?.value : choice.value.split("@")[1];
        const at = Date.parse(/[zZ]$/.test(written || "") ? written : `${written}Z`);
        if (Number.isNaN(at)) return ["On a date", "Choose the date"];
        return [labelOf(choice), utc(at)];
    }

    function summarizeAddresses(form) {
        const choice = one('[name="addresses"]:checked', form);
        if (!choice || choice.value !== "only") return [choice ? labelOf(choice) : "Any address", ""];
        const lines = (one('[name="networks"]', form)?.value || "").split("\n").filter((line) => line.trim() !== "").length;
        const platform = one('[name="platform"]', form);
        const own = lines === 1 ? "1 line" : `${lines} lines`;
        const also = platform?.checked ? labelOf(platform).replace(/^Allow /, "and ") : "";
        if (lines === 0 && !also) return ["Only these addresses", "Nobody yet: add a line"];
        return ["Only these addresses", [own, also].filter(Boolean).join(" ")];
    }

    function summarizeType(form) {
        const choice = one('[name="type"]:checked', form);
        const role = one('[name="role"]', form);
        const legacy = choice?.value === "legacy";
        return [labelOf(choice), legacy && role ? `Role ${role.value || "not chosen yet"}` : ""];
    }

    const summaries = {
        name: (form) => [one('[name="name"]', form)?.value.trim() || "Not named yet", ""],
        type: summarizeType,
        permissions: summarizePermissions,
        expiry: summarizeExpiry,
        addresses: summarizeAddresses,
    };

    /** Writes a value and its explanation where they differ from what is there; `<bdi>` keeps a name from turning others around. */
    function write(place, [value, note]) {
        let main = one("bdi", place);
        let small = one("small", place);
        if (!main || !small) {
            main = document.createElement("bdi");
            small = document.createElement("small");
            place.replaceChildren(main, small);
        }
        if (main.textContent !== value) main.textContent = value;
        if (small.textContent !== note) small.textContent = note;
    }

    function summarize(form) {
        for (const place of all("[data-summary]", form)) {
            const of = summaries[place.dataset.summary];
            if (of) write(place, of(form));
        }
    }

    // Lines of an allowlist.

    /** Puts text into a field as if it had been typed, so that whoever listens hears of it. */
    function retype(field, text) {
        field.value = text;
        field.dispatchEvent(new Event("input", { bubbles: true }));
    }

    function useProposal(button) {
        const field = byId(button.dataset.useFor);
        if (!field) return;
        const lines = field.value.split("\n");
        const index = Number(button.dataset.useLine) - 1;
        if (index < 0 || index >= lines.length) return;
        lines[index] = button.dataset.use;
        retype(field, lines.join("\n"));
        field.focus();
        announce(`Line ${index + 1} is now ${button.dataset.use}`);
    }

    function addLine(button) {
        const field = byId(button.dataset.useFor);
        if (!field) return;
        const line = button.dataset.addLine;
        const lines = field.value.split("\n").map((each) => each.trim()).filter(Boolean);
        if (lines.includes(line)) {
            announce(`${line} is in the list already`);
            return;
        }
        retype(field, [...lines, line].join("\n"));
        announce(`Added ${line}`);
    }

    // Tabs.

    function makeTab(section, index, list) {
        const heading = one("h2, h3, h4", section);
        const tab = document.createElement("button");
        tab.type = "button";
        tab.id = `${section.id}-tab`;
        tab.textContent = heading.textContent;
        tab.setAttribute("role", "tab");
        tab.setAttribute("aria-controls", section.id);
        tab.setAttribute("aria-selected", String(index === 0));
        tab.tabIndex = index === 0 ? 0 : -1;
        heading.hidden = true;
        section.setAttribute("role", "tabpanel");
        section.setAttribute("aria-labelledby", tab.id);
        section.hidden = index !== 0;
        list.append(tab);
    }

    function makeTabs(container) {
        if (one('[role="tablist"]', container)) return;
        const list = document.createElement("div");
        list.className = "tabs";
        list.setAttribute("role", "tablist");
        list.setAttribute("aria-label", container.dataset.tabs);
        all("[data-tab]", container).forEach((section, index) => makeTab(section, index, list));
        container.prepend(list);
    }

    function selectTab(tab) {
        for (const other of all('[role="tab"]', tab.parentNode)) {
            const chosen = other === tab;
            other.setAttribute("aria-selected", String(chosen));
            other.tabIndex = chosen ? 0 : -1;
            const panel = byId(other.getAttribute("aria-controls"));
            if (panel) panel.hidden = !chosen;
        }
        tab.focus();
    }

    function moveTab(tab, key) {
        const tabs = all('[role="tab"]', tab.parentNode);
        const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
        if (step) selectTab(tabs[(tabs.indexOf(tab) + step + tabs.length) % tabs.length]);
        return Boolean(step);
    }

    // Dialogs.

    async function fetchPage(address) {
        const answer = await fetch(address, { credentials: "same-origin", redirect: "follow" });
        if (!answer.ok || answer.redirected) throw new Error(`answered ${answer.status}`);
        return answer.text();
    }

    function makeDialog(title, content, opener) {
        const dialog = document.createElement("dialog");
        dialog.setAttribute("aria-labelledby", "dialog-title");
        const head = document.createElement("div");
        head.className = "dialog-head";
        const heading = document.createElement("h2");
        heading.id = "dialog-title";
        heading.tabIndex = -1;
        heading.append(...title);
        const close = document.createElement("button");
        close.type = "button";
        close.className = "button quiet small";
        close.dataset.close = "";
        close.textContent = "Close";
        head.append(heading, close);
        const body = document.createElement("div");
        body.className = "dialog-content";
        body.append(content);
        dialog.append(head, body);
        dialog.addEventListener("close", () => { dialog.remove(); opener?.focus(); });
        return dialog;
    }

    /** Opens a link's page in a dialog; whatever goes wrong, the link is followed instead. */
    async function openDialog(link) {
        try {
            const page = new DOMParser().parseFromString(await fetchPage(link.href), "text/html");
            const content = one("[data-dialog-body]", page);
            const title = one("h1", page);
            if (!content || !title) throw new Error("no dialog in this page");
            for (const form of all("form", content)) form.setAttribute("action", new URL(form.getAttribute("action") || "", link.href).href);
            const dialog = makeDialog(document.importNode(title, true).childNodes, document.importNode(content, true), link);
            document.body.append(dialog);
            dialog.showModal();
            settle(dialog);
            window.htmx?.process(dialog);
            (one("[data-focus], [autofocus]", dialog) || one("#dialog-title", dialog)).focus();
        } catch {
            window.location.assign(link.href);
        }
    }

    /** Links "Cancel" of a page lead back to where the dialog came from: in the dialog they close it. */
    function closeDialog(element) {
        element.closest("dialog")?.close();
    }

    // The command palette.

    const palette = { dialog: null, input: null, list: null, asked: 0, timer: 0, address: "" };

    function makePalette() {
        const dialog = document.createElement("dialog");
        dialog.className = "palette";
        dialog.setAttribute("aria-label", "Search or jump to");
        const input = document.createElement("input");
        input.className = "palette-input";
        input.type = "text";
        input.autocomplete = "off";
        input.spellcheck = false;
        input.placeholder = "Pages, actions, keys by name or client id";
        for (const [name, value] of [["role", "combobox"], ["aria-expanded", "true"], ["aria-controls", "palette-list"], ["aria-autocomplete", "list"], ["aria-label", "Search or jump to"]]) input.setAttribute(name, value);
        const list = document.createElement("div");
        list.className = "palette-list hits";
        list.id = "palette-list";
        list.setAttribute("role", "listbox");
        list.setAttribute("aria-label", "Results");
        const foot = document.createElement("p");
        foot.className = "palette-foot";
        foot.setAttribute("aria-hidden", "true");
        for (const hint of ["↑ ↓ choose", "Enter open", "Esc close"]) foot.append(Object.assign(document.createElement("span"), { textContent: hint }));
        dialog.append(input, list, foot);
        dialog.addEventListener("close", () => { input.value = ""; });
        input.addEventListener("input", () => { window.clearTimeout(palette.timer); palette.timer = window.setTimeout(askPalette, 120); });
        input.addEventListener("keydown", steerPalette);
        document.body.append(dialog);
        Object.assign(palette, { dialog, input, list });
    }

    /** The links of a fetched list become options. */
    function showHits(html) {
        const page = new DOMParser().parseFromString(html, "text/html");
        const hits = all("a.hit", page);
        palette.list.replaceChildren(...hits.map((hit, index) => {
            const option = document.importNode(hit, true);
            option.id = `hit-${index}`;
            option.tabIndex = -1;
            option.setAttribute("role", "option");
            return option;
        }));
        if (hits.length === 0) palette.list.append(Object.assign(document.createElement("p"), { className: "hit muted", textContent: "Nothing found" }));
        chooseHit(0);
        if (palette.input.value !== "") announce(hits.length === 1 ? "1 result" : `${hits.length} results`);
    }

    function chooseHit(index) {
        const hits = all('[role="option"]', palette.list);
        palette.input.removeAttribute("aria-activedescendant");
        hits.forEach((hit, at) => hit.setAttribute("aria-selected", String(at === index)));
        const hit = hits[index];
        if (!hit) return;
        palette.input.setAttribute("aria-activedescendant", hit.id);
        hit.scrollIntoView({ block: "nearest" });
    }

    async function askPalette() {
        const asked = ++palette.asked;
        const text = palette.input.value;
        const address = new URL(palette.address);
        address.searchParams.set("q", text);
        address.searchParams.set("fragment", "1");
        try {
            const html = await fetchPage(address);
            if (asked !== palette.asked) return;
            showHits(html);
            palette.shown = text;
            if (palette.opens) one('[role="option"]', palette.list)?.click();
            palette.opens = false;
        } catch {
            if (asked === palette.asked) window.location.assign(palette.address);
        }
    }

    function steerPalette(event) {
        const hits = all('[role="option"]', palette.list);
        const now = hits.findIndex((hit) => hit.getAttribute("aria-selected") === "true");
        const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
        if (step && hits.length > 0) {
            event.preventDefault();
            chooseHit((now + step + hits.length) % hits.length);
        } else if (event.key === "Enter") {
            event.preventDefault();
            // What is listed may still be what was asked for a moment ago.
            if (palette.input.value !== palette.shown) palette.opens = true;
            else hits[now]?.click();
        }
    }

    function openPalette() {
        const link = one("[data-palette]");
        if (!link) return false;
        if (!palette.dialog) makePalette();
        palette.address = link.href;
        if (!palette.dialog.open) palette.dialog.showModal();
        palette.input.focus();
        askPalette();
        return true;
    }

    // The page that shows a secret.

    /** The secret leaves the page: what is shown, what would be copied, what would be downloaded. */
    function wipeSecret(page) {
        for (const element of all("[data-secret]", page)) {
            element.textContent = "";
            element.removeAttribute("href");
            element.removeAttribute("value");
        }
        page.dataset.wiped = "";
    }

    function guardSecret() {
        const page = one("[data-secret-page]");
        if (!page || page.dataset.guarded !== undefined) return;
        page.dataset.guarded = "";
        window.history.replaceState(null, "", page.dataset.keyUrl);
        window.addEventListener("pagehide", () => wipeSecret(page));
        window.addEventListener("pageshow", (event) => { if (event.persisted) window.location.replace(page.dataset.keyUrl); });
        window.addEventListener("beforeunload", (event) => {
            if (one("[data-stored]", page)?.checked) return;
            event.preventDefault();
            event.returnValue = "";
        });
    }

    // Instants in the reader's own time.

    const local = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });

    function nameLocalTimes(root) {
        for (const time of all("time[datetime]:not([title])", root)) {
            const at = new Date(time.dateTime);
            if (!Number.isNaN(at.getTime())) time.title = local.format(at);
        }
    }

    // When htmx does not get what it asked for.

    /** A form that asked says so in place of the answer; a list that asked is opened as a page, which says more. */
    const SESSION_ENDED = "Your session ended. Send the form to sign in again: nothing you typed is lost.";

    function tellFailure(detail, words) {
        if (detail.requestConfig?.verb === "get") {
            window.location.assign(detail.pathInfo.finalRequestPath || detail.pathInfo.requestPath);
            return;
        }
        const line = document.createElement("p");
        line.className = "field-error";
        line.textContent = words;
        detail.target.replaceChildren(line);
    }

    /** A session that ended answers with the way to the sign-in page, which must not land in the middle of a form. */
    function refuseSignIn(event) {
        if (!/^\/sign-in\b/.test(event.detail.pathInfo?.responsePath || "")) return;
        event.detail.shouldSwap = false;
        tellFailure(event.detail, SESSION_ENDED);
    }

    // Putting it together.

    /** Brings a part of the page into the state that its own fields ask for. */
    function settle(root = document) {
        settleWaiting(root);
        settleShown(root);
        all("[data-group]", root).forEach(settleGroup);
        all("[data-filter]", root).forEach(filterTree);
        all("[data-tabs]", root).forEach(makeTabs);
        all("form:has([data-summary])", root).forEach(summarize);
        nameLocalTimes(root);
    }

    const plainClick = (event) => event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;

    const clicks = [
        ["[data-copy]", copy],
        ["[data-use]", useProposal],
        ["[data-add-line]", addLine],
        ["[data-close], dialog [data-cancel]", closeDialog],
        ['[role="tab"]', selectTab],
        ["a[data-dialog]", openDialog],
        ["a[data-palette]", openPalette],
    ];

    function onClick(event) {
        if (!plainClick(event) || !(event.target instanceof Element)) return;
        if (event.target instanceof HTMLDialogElement) event.target.close();
        for (const [selector, act] of clicks) {
            const element = event.target.closest(selector);
            if (!element) continue;
            event.preventDefault();
            act(element);
            return;
        }
    }

    function onInput(event) {
        const field = event.target;
        if (!(field instanceof Element)) return;
        if (field.matches("[data-filter]")) filterTree(field);
        if (field.matches("[data-group-box]")) steerGroup(field);
        if (field.matches("[data-preset]")) applyPreset(field);
        if (field.matches("[data-perm] input")) {
            settleGroup(field.closest("[data-group]"));
            settlePreset(field.form);
        }
        settleWaiting();
        settleShown();
        if (field.form) summarize(field.form);
    }

    /** Open menus close once one acts elsewhere. */
    function closeMenus(target) {
        for (const menu of all("details.switch[open]")) if (!menu.contains(target)) menu.open = false;
    }

    function onKey(event) {
        if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === "k") {
            if (openPalette()) event.preventDefault();
        } else if (event.key === "Escape") {
            closeMenus(null);
        } else if (event.target instanceof Element && event.target.matches('[role="tab"]')) {
            if (moveTab(event.target, event.key)) event.preventDefault();
        } else if (event.key === "Enter" && event.target instanceof Element && event.target.matches("[data-filter]")) {
            event.preventDefault();
        }
    }

    document.addEventListener("click", onClick);
    document.addEventListener("pointerdown", (event) => closeMenus(event.target));
    document.addEventListener("focusin", (event) => closeMenus(event.target));
    document.addEventListener("input", onInput);
    document.addEventListener("keydown", onKey);
    document.addEventListener("htmx:afterSwap", (event) => settle(event.target));
    document.addEventListener("htmx:beforeSwap", refuseSignIn);
    for (const failure of ["htmx:responseError", "htmx:sendError"]) {
        document.addEventListener(failure, (event) => {
            const ended = event.detail.xhr?.status === 401;
            tellFailure(event.detail, ended ? SESSION_ENDED : "This could not be checked just now. Sending the form checks it.");
        });
    }
    window.addEventListener("pageshow", (event) => { if (event.persisted) settle(); });
    document.addEventListener("DOMContentLoaded", () => {
        settle();
        guardSecret();
        one("[data-error-summary]")?.focus();
    });
})();
