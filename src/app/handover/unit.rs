//! Whether a node would outlive the process before. Two things end with that one: a container whose first process it is,
//! and a service that does not know the successor. A service manager believes nobody from outside of the unit to be its main
//! process (sd_notify(3)), and nothing of the unit holds there: sandbox, limits, restarts.

/// Why no process takes over from the first one of a container.
pub(super) fn ends_container(before: u32) -> Option<String> {
    let words = "the node that runs is process 1 of its container, which would end with it: replace the container";
    (before == 1).then(|| words.to_owned())
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
