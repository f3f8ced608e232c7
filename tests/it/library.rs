//! The client library in a real browser, against the running server: one connection for all tabs, and nothing lost.

use crate::browser::{self, Page};
use crate::server::{Server, Setup};
use crate::tools;
use loadtest::CometQl;
use serde_json::json;
use std::net::SocketAddr;

/// What a page notes of the messages it gets, and of what the library says.
const SCRIPT: &str = "(async () => {
    window.seen = []; window.gaps = []; window.states = []; window.failed = '';
    try {
        const { connect } = await import('/encke.js');
        window.comet = connect({ url: URL });
        comet.on('gap', (gap) => gaps.push(gap.pipe));
        comet.on('state', ({ state }) => states.push(state));
        await comet.subscribe('kept', ({ data }) => seen.push(data.number));
        window.isReady = true;
    } catch (error) { window.failed = String(error); }
})()";

#[test]
fn pages_miss_nothing_whatever_happens() {
    let Some(program) = tools::need("pages_miss_nothing_whatever_happens", &browser::BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let url = format!("http://{}/", server.browsers);
    let mut backend = server.backend();
    backend.execute("INSERT INTO pipes_settings (name, length) VALUES ('kept', 100)").expect("an OK");
    let mut first = Page::open(&program, &url);
    let mut tabs = vec![first.another(&url), first.another(&url)];
    start(&mut first);
    for tab in &mut tabs {
        start(tab);
    }
    assert_eq!(first.evaluate("String(comet.leading)"), "true");
    // Three tabs are one connection.
    server.await_subscribers("kept", 1);
    publish(&mut backend, 1);
    for page in [&mut first].into_iter().chain(&mut tabs) {
        page.await_value("JSON.stringify(seen)", "[1]");
    }

    // Away and back: what came meanwhile is there.
    for page in [&mut first].into_iter().chain(&mut tabs) {
        page.offline(true);
    }
    first.await_value("comet.state", "offline");
    publish(&mut backend, 2);
    for page in [&mut first].into_iter().chain(&mut tabs) {
        page.offline(false);
    }
    first.await_value("comet.state", "connected");
    publish(&mut backend, 3);
    for page in [&mut first].into_iter().chain(&mut tabs) {
        page.await_value("JSON.stringify(seen)", "[1,2,3]");
    }

    // The tab with the connection closes: another one takes over.
    tabs.swap(0, 1);
    first.close_target();
    publish(&mut backend, 4);
    for tab in &mut tabs {
        tab.await_value("JSON.stringify(seen)", "[1,2,3,4]");
    }
    server.await_subscribers("kept", 1);

    // The server restarts on the same port.
    let (browsers, cometql) = (server.browsers, server.cometql);
    drop(backend);
    let (_, folder) = server.stop();
    let server = Server::start_in(folder, &on_ports(browsers, cometql));
    let mut backend = server.backend();
    publish(&mut backend, 5);
    for tab in &mut tabs {
        tab.await_value("JSON.stringify(seen)", "[1,2,3,4,5]");
        assert_eq!(tab.evaluate("JSON.stringify(gaps)"), "[]", "nothing was lost");
    }
    server.await_subscribers("kept", 1);

    // From page to page, and what the server says of it.
    assert_eq!(tabs[0].evaluate("comet.publish('web_room', { text: 'x' }).then(String)"), "0");
    assert_eq!(
        tabs[1].evaluate("comet.history('kept').then((found) => JSON.stringify(found.map(({ data }) => data.number)))"),
        "[1,2,3,4,5]"
    );
    assert!(tabs[0].evaluate("comet.subscribe('private_x', () => {}).catch(String)").contains("authorised users"));
}

#[test]
fn the_classic_library_runs_in_a_page() {
    let Some(program) = tools::need("the_classic_library_runs_in_a_page", &browser::BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let mut page = Page::open(&program, &format!("http://{}/", server.browsers));
    await_loaded(&mut page);
    page.evaluate(
        "new Promise((done) => {
            const script = document.createElement('script');
            script.src = '/api/CometServerApi.js';
            script.onload = () => {
                window.seen = [];
                cometApi.subscription('classic.say', ({ data, server_info }) => seen.push([data.number, server_info.pipe]));
                cometApi.onAuthFalill(() => (window.isAnonymous = true));
                cometApi.start({ dev_id: 0 });
                done();
            };
            document.head.append(script);
        })",
    );
    server.await_subscribers("classic", 1);
    let mut backend = server.backend();
    let insert = |event| {
        format!(
            "INSERT INTO pipes_messages (name, event, message) VALUES ('classic', '{event}', '{}')",
            json!({ "number": 7 })
        )
    };
    backend.execute(&insert("other")).expect("an OK");
    backend.execute(&insert("say")).expect("an OK");
    page.await_value("JSON.stringify(seen)", r#"[[7,"classic"]]"#);
    assert_eq!(page.evaluate("String(isAnonymous)"), "true");
}

/// Loads the library and waits until its subscription holds.
fn start(page: &mut Page) {
    await_loaded(page);
    page.evaluate(&SCRIPT.replace("URL", "location.origin"));
    page.await_value("failed || String(window.isReady)", "true");
}

/// A new tab is an empty page at first, and that is complete.
fn await_loaded(page: &mut Page) {
    page.await_value("location.protocol + document.readyState", "http:complete");
}

fn publish(backend: &mut CometQl, number: u32) {
    let message = json!({ "number": number });
    let insert = format!("INSERT INTO pipes_messages (name, event, message) VALUES ('kept', 'say', '{message}')");
    backend.execute(&insert).expect("an OK");
}

/// As the first start, but on the ports that it had. The last value of a key counts.
fn on_ports(browsers: SocketAddr, cometql: SocketAddr) -> Setup {
    let more = format!("[ws]\nport = {}\n[cometql]\nport = {}\n", browsers.port(), cometql.port());
    Setup { more, ..Setup::default() }
}

#[test]
fn tabs_with_pipes_of_their_own_all_hear() {
    const TABS: usize = 8;
    let Some(program) = tools::need("tabs_with_pipes_of_their_own_all_hear", &browser::BROWSERS) else { return };
    let _alone = tools::alone();
    let server = Server::start(&Setup::default());
    let url = format!("http://{}/", server.browsers);
    let mut first = Page::open(&program, &url);
    start(&mut first);
    let mut backend = server.backend();
    // The leader once took nearly every tab that came for one that had gone, so one was not enough to see it.
    for tab in 0..TABS {
        let mut page = first.another(&url);
        let pipe = format!("own_{tab}");
        await_loaded(&mut page);
        page.evaluate(&SCRIPT.replace("kept", &pipe).replace("URL", "location.origin"));
        page.await_value("failed || String(window.isReady)", "true");
        server.await_subscribers(&pipe, 1);
        let insert =
            format!("INSERT INTO pipes_messages (name, event, message) VALUES ('{pipe}', 'e', '{{\"number\":{tab}}}')");
        backend.execute(&insert).expect("an OK");
        page.await_value("JSON.stringify(seen)", &format!("[{tab}]"));
    }
}
