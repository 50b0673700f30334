//! The cookies of the control plane's pages, which a browser sends to every port of their host, stay between the two.

use crate::harness::{Answer, Gateway};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NAMES: [&str; 4] =
    ["portcullis_session", "__Host-portcullis_session", "portcullis_form", "__Host-portcullis_form"];

/// With a token, on a public operation, and on a connection that is to change its protocol.
#[test]
fn no_byte_of_them_goes_upstream() {
    let gateway = Gateway::start();
    let token = gateway.writer_token();
    gateway.upstream.on("/api/socket", Answer::WebSocketEcho);
    let upgrade = gateway.get("/socket").bearer(&token).header("Connection", "upgrade").header("Upgrade", "websocket");
    let upgrade = upgrade.header("Sec-WebSocket-Version", "13").header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    for name in NAMES {
        let cookie = format!("{name}={SECRET}");
        gateway.get("/cards").bearer(&token).header("Cookie", &cookie).send().expect(200);
        assert_eq!(gateway.upstream.last().all("cookie"), [""; 0], "{name}");
        gateway.get("/health").header("cookie", &format!("a=\"1\"; {cookie};b=2")).send().expect(200);
        assert_eq!(gateway.upstream.last().all("cookie"), ["a=\"1\";b=2"], "{name}");
    }
    let cookie = format!("theme=dark; {}={SECRET}", NAMES[0]);
    let mut connection = gateway.connect();
    connection.send(upgrade.header("Cookie", &cookie).bytes());
    assert_eq!(connection.read_head().status, 101);
    assert_eq!(gateway.upstream.last().all("cookie"), ["theme=dark"]);
    let sent = gateway.upstream.connections().concat();
    assert!(!sent.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));
}

#[test]
fn other_cookies_pass_byte_for_byte() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let request = gateway.get("/cards").bearer(&token);
    let request = request.header("Cookie", "a=portcullis_session=1; portcullis_sessions=2 ;;c");
    let request = request.header("Cookie", &format!("portcullis_session={SECRET}")).header("Cookie", "d=4");
    request.send().expect(200);
    assert_eq!(gateway.upstream.last().all("cookie"), ["a=portcullis_session=1; portcullis_sessions=2 ;;c", "d=4"]);
}

#[test]
fn an_api_sets_none_of_them() {
    let gateway = Gateway::start();
    let token = gateway.reader_token();
    let lines = "Set-Cookie: first=1; Path=/\r\nSet-Cookie: portcullis_session=x; Path=/\r\n\
                 set-cookie:   __Host-portcullis_form =x; Secure\r\nSet-Cookie: =portcullis_form=x\r\n\
                 Set-Cookie: portcullis_sessions=2; HttpOnly\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok");
    gateway.upstream.on("/api/cards", Answer::Bytes(answer.into_bytes()));
    let response = gateway.get("/cards").bearer(&token).send().expect(200);
    let head = response.head.to_ascii_lowercase();
    let set: Vec<&str> = head.lines().filter_map(|line| line.strip_prefix("set-cookie:")).map(str::trim).collect();
    assert_eq!(set, ["first=1; path=/", "portcullis_sessions=2; httponly"]);
    assert_eq!(response.text(), "ok");
}
