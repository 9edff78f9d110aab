//! Questions and answers on the wire, and sockets that nobody answers.

use super::protocol::{Answer, Question, Refusal, VERSION, decode, encode};
use super::{place, server};
use crate::failure::Failure;
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_is_said_is_understood() {
    let stop = Question::Stop { job: "a1".into(), directory: None, canonical: true, drain: false };
    for question in [Question::Jobs, Question::Cancel { job: "a1".into() }, stop] {
        let line = encode(&question);
        assert!(line.ends_with("}\n") && line.lines().count() == 1, "{line}");
        assert_eq!(decode::<Question>(&line).expect("understood"), question);
    }
    let line = encode(Answer::Checkpoint { id: 7, path: None });
    assert_eq!(
        line,
        format!("{{\"weir\":{VERSION},\"says\":{{\"checkpoint\":{{\"id\":7,\"path\":null}}}}}}\n")
    );
    let refused = Answer::Refused(Refusal::from(Failure::User("no".into())));
    assert_eq!(decode::<Answer>(&encode(&refused)).expect("understood"), refused);
}

#[test]
fn what_another_version_says_is_refused() {
    let error = decode::<Question>("{\"weir\":99,\"says\":\"something_new\"}\n").expect_err("refused");
    assert!(error.contains("version 99"), "{error}");
    for line in ["", "nonsense", "{}", "{\"weir\":1,\"says\":\"nothing\"}"] {
        decode::<Question>(line).expect_err("refused");
    }
    let more =
        format!("{{\"weir\":{VERSION},\"says\":{{\"cancel\":{{\"job\":\"a\",\"new\":1}}}},\"new\":2}}");
    assert_eq!(decode::<Question>(&more).expect("understood"), Question::Cancel { job: "a".into() });
}

#[test]
fn sockets_are_found_by_their_names() {
    let folder = tempfile::tempdir().expect("a directory");
    let directory = folder.path().join("weir");
    assert!(place::sockets(&directory).is_empty(), "there is no such directory");
    let (_listener, socket) = server::bind(&directory).expect("bound");
    let pid = std::process::id();
    assert_eq!(socket.file_name().and_then(|name| name.to_str()), Some(&*place::name(pid, 0)));
    assert_eq!(directory.metadata().expect("made").permissions().mode() & 0o777, 0o700);
    // as of a process with the same id in another container
    let (second_listener, second) = server::bind(&directory).expect("bound");
    assert_eq!(place::sockets(&directory), [(pid, second.clone()), (pid, socket)]);
    // what a dead process left is in nobody's way
    drop(second_listener);
    let (_third, again) = server::bind(&directory).expect("bound");
    assert_eq!(again, second);
    std::fs::write(directory.join("no.sock"), "").expect("written");
    assert_eq!(place::sockets(&directory).len(), 2);
}

#[test]
fn a_place_that_is_none_says_why() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = server::bind(&file).expect_err("no directory");
    assert!(error.contains("is not a directory of this user"), "{error}");
    std::os::unix::fs::symlink(folder.path(), folder.path().join("link")).expect("linked");
    server::bind(&folder.path().join("link")).expect_err("nobody's link is followed");
    server::bind(&folder.path().join("x".repeat(120))).expect_err("too long for a socket");
}
