//! Whether a node would outlive the process before. Two things end with that one: a container whose first process it is,
//! and a service that does not know the successor. A service manager believes nobody from outside of the unit to be its main
//! process (sd_notify(3)), and nothing of the unit holds there: sandbox, limits, restarts.

/// What is process 1 of a container where its main program is not, and ends with that one: inits for containers, shells.
const INITS: [&str; 9] = ["ash", "bash", "busybox", "catatonit", "dash", "docker-init", "dumb-init", "sh", "tini"];

/// What `/proc` says of the process before; empty is what cannot be read.
pub(super) struct Process {
    pub(super) pid: u32,
    /// `/proc/PID/status`.
    pub(super) status: String,
    /// `/proc/PID/cmdline`.
    pub(super) arguments: String,
    /// `/proc/1/comm`.
    pub(super) first: String,
}

/// Why no process takes over from the main one of a container.
pub(super) fn ends_container(before: &Process) -> Option<String> {
    let which = match (before.pid, parent(&before.status)) {
        (1, _) => "process 1",
        // Its parent is outside of the container, or the init which waits for it.
        (_, Some(0)) => "the main process",
        (_, Some(1)) if INITS.contains(&before.first.trim_end()) && !was_adopted(before) => "the main process",
        _ => return None,
    };
    Some(format!("the node that runs is {which} of its container, which would end with it: replace the container"))
}

/// Whether it is a successor itself: no init starts one, and each gets one that was orphaned by whoever did.
fn was_adopted(before: &Process) -> bool {
    before.arguments.split('\0').any(|argument| argument == "--take-over")
}

fn parent(status: &str) -> Option<u32> {
    status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
}

/// Why a process must not take over from one that a service manager runs, given `/proc/PID/cgroup` of both. `None` where
/// it may: no service manager is told of anything, both are in one unit, or the node before is in none.
pub(super) fn leaves(notify_socket: Option<&str>, before: Option<&str>, own: Option<&str>) -> Option<String> {
    let unit = of(before?).filter(|_| notify_socket.is_some())?;
    if of(own?) == Some(unit) {
        return None;
    }
    let name = unit.rsplit('/').next().unwrap_or(unit);
    let user = if unit.contains("/user@") { " --user" } else { "" };
    Some(format!(
        "the node that runs is the service `{name}`, and this process is none of it: the service would end with the node; \
         use `systemctl{user} reload {name}`"
    ))
}

/// The unit that a process is in, by its path: what lies below it is its own (`.control`, where a reload may run).
fn of(cgroup: &str) -> Option<&str> {
    let path = |begin: &str| cgroup.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(begin));
    // systemd's own hierarchy where there are several, else the only one.
    let path = path("name=systemd:").or_else(|| path(":"))?;
    let is_unit = |part: &str| part.ends_with(".service") || part.ends_with(".scope");
    let mut end = path.len();
    while !path.get(..end)?.rsplit('/').next().is_some_and(is_unit) {
        end = path.get(..end)?.rfind('/')?;
    }
    path.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "0::/system.slice/portcullis.service\n";

    #[test]
    fn a_unit_is_found_in_either_hierarchy() {
        for (cgroup, unit) in [
            (UNIT, Some("/system.slice/portcullis.service")),
            ("0::/system.slice/portcullis.service/.control\n", Some("/system.slice/portcullis.service")),
            ("4:memory:/x.service\n1:name=systemd:/a.slice/b.service\n0::/c.service\n", Some("/a.slice/b.service")),
            ("0::/user.slice/user-1.slice/session-2.scope\n", Some("/user.slice/user-1.slice/session-2.scope")),
            (
                "0::/user.slice/user-1.slice/user@1.service/app.slice/p.service\n",
                Some("/user.slice/user-1.slice/user@1.service/app.slice/p.service"),
            ),
            ("0::/\n", None),
            ("0::/docker/0123\n", None),
            ("4:memory:/x.service\n", None),
            ("", None),
        ] {
            assert_eq!(of(cgroup), unit, "{cgroup}");
        }
    }

    #[test]
    fn only_the_main_process_of_a_container_is_refused() {
        let refused = |pid: u32, parent: &str, first: &str, arguments: &str| {
            let status = format!("Name:\tportcullis\nPid:\t{pid}\nPPid:\t{parent}\nTracerPid:\t0\n");
            let (first, arguments) = (format!("{first}\n"), arguments.replace(' ', "\0"));
            ends_container(&Process { pid, status, arguments, first })
        };
        let serve = "portcullis serve --config portcullis.toml";
        let is_told = |words: Option<String>, which: &str| {
            words.is_some_and(|words| {
                words.contains(which) && words.ends_with("would end with it: replace the container")
            })
        };
        assert!(is_told(refused(1, "0", "portcullis", serve), "process 1 of its container"));
        // `docker exec` and the like.
        assert!(is_told(refused(7, "0", "portcullis", serve), "the main process of its container"));
        for init in INITS {
            assert!(is_told(refused(7, "1", init, serve), "the main process of its container"), "{init}");
            assert_eq!(refused(7, "5", init, serve), None, "{init}: its parent is an ordinary process");
            let successor = "portcullis serve --take-over --detached --within 60000ms --config portcullis.toml";
            assert_eq!(refused(7, "1", init, successor), None, "{init}: whoever started it has ended");
        }
        for (parent, first) in [("1", "systemd"), ("1", "init"), ("1", ""), ("", "tini"), ("10", "tini")] {
            assert_eq!(refused(7, parent, first, serve), None, "{parent} {first}");
        }
    }

    #[test]
    fn only_who_is_in_another_unit_is_refused() {
        let shell = "0::/user.slice/user-1.slice/session-2.scope\n";
        let told = Some("/run/systemd/notify");
        let words = leaves(told, Some(UNIT), Some(shell)).unwrap();
        assert!(words.contains("`portcullis.service`") && words.ends_with("`systemctl reload portcullis.service`"));
        assert!(leaves(told, Some(UNIT), Some("0::/\n")).is_some(), "in no unit at all");
        for (told, before, own) in [
            (None, Some(UNIT), Some(shell)),
            (told, Some(UNIT), Some("0::/system.slice/portcullis.service/.control\n")),
            (told, Some("0::/\n"), Some(shell)),
            (told, None, Some(shell)),
            (told, Some(UNIT), None),
        ] {
            assert_eq!(leaves(told, before, own), None, "{before:?} {own:?}");
        }
        let user = "0::/user.slice/user-1.slice/user@1.service/app.slice/p.service\n";
        assert!(leaves(told, Some(user), Some(shell)).unwrap().contains("systemctl --user reload p.service"));
    }
}
