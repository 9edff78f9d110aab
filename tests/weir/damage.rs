//! Checkpoints of which a bit has changed somewhere: the check names the file, and where in it.

use crate::process::{path, weir};
use std::fs;
use std::path::{Path, PathBuf};

/// Of the first version, of those before files had checksums, and of one that has them.
const CHECKPOINTS: [&str; 5] = [
    "tests/fixtures/checkpoint-1/job/chk-5",
    "tests/fixtures/checkpoint-2/job/chk-6",
    "tests/fixtures/checkpoint-3/job/chk-6",
    "tests/fixtures/checkpoint-4/job/chk-7",
    "tests/fixtures/checkpoint-5/job/chk-7",
];

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

/// The files that a checkpoint consists of, as a report counts them: those below its job's directory.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

/// Flips a bit of `file` and gives what the check says of `checkpoint` then; the bit is flipped back.
fn flipped(file: &Path, at: usize, checkpoint: &Path) -> String {
    let sound = fs::read(file).expect("a file");
    let mut damaged = sound.clone();
    damaged[at] ^= 1 << (at % 8);
    fs::write(file, damaged).expect("written");
    let run = weir(&["checkpoint", "fsck", text(checkpoint)]);
    fs::write(file, sound).expect("written");
    let said = format!("{}{}", run.stdout, run.stderr);
    assert_eq!(run.code, 2, "byte {at} of {}: {said}", file.display());
    said
}

/// The name of the database that a file is of, where that may be all that is told: without checksums of files RocksDB is asked, which
/// cannot say more of a file whose properties it cannot read.
fn database<'a>(file: &'a Path, checkpoint: &str) -> &'a str {
    let name = file.file_name().and_then(|name| name.to_str()).expect("UTF-8");
    let is_old = checkpoint.contains("checkpoint-2") || checkpoint.contains("checkpoint-3");
    let database = name.split_once('-').and_then(|(_, name)| name.split_once('_')).map(|(name, _)| name);
    database.filter(|_| is_old).unwrap_or(name)
}

#[test]
fn a_bit_anywhere_is_named() {
    for checkpoint in CHECKPOINTS {
        let folder = tempfile::tempdir().expect("a directory");
        let job = folder.path().join("job");
        let chk = Path::new(checkpoint).file_name().expect("a name");
        copy(path(checkpoint).parent().expect("a job"), &job);
        for (place, file) in files(&job).iter().enumerate() {
            let bytes = fs::metadata(file).expect("a file").len() as usize;
            // of one its beginning, of the next its end, of the next somewhere between: each check reads all
            let at = [0, bytes - 1, (place * 7919 + 104_729) % bytes][place % 3];
            let said = flipped(file, at, &job.join(chk));
            let named = said.contains(text(file)) || said.contains(database(file, checkpoint));
            assert!(
                named && said.contains("offset"),
                "{checkpoint}: byte {at} of {}: {said}",
                file.display()
            );
        }
        let run = weir(&["checkpoint", "fsck", text(&job.join(chk))]).succeeded();
        assert!(run.stdout.contains(": sound: "), "{}", run.stdout);
    }
}

/// A directory of a job, or of several, is all checkpoints below; files that they share are told of with each.
#[test]
fn all_checkpoints_of_a_directory_are_checked() {
    let folder = tempfile::tempdir().expect("a directory");
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    copy(&path("tests/fixtures/checkpoint-1/job"), &one);
    copy(&one.join("chk-5"), &one.join("chk-6"));
    copy(&path("tests/fixtures/checkpoint-5/job"), &other);
    let run = weir(&["checkpoint", "fsck", text(folder.path())]).succeeded();
    assert_eq!(run.stdout.lines().filter(|line| line.contains(": sound: ")).count(), 3, "{}", run.stdout);
    let shared = one.join("shared/1-2-0");
    let mut damaged = fs::read(&shared).expect("a file");
    damaged[100] ^= 1;
    fs::write(&shared, damaged).expect("written");
    fs::write(one.join("chk-6/_metadata"), "WEIRCHKP").expect("cut");
    let run = weir(&["checkpoint", "fsck", text(folder.path())]);
    assert_eq!(run.code, 2);
    assert_eq!(run.stdout.lines().filter(|line| line.contains(": sound: ")).count(), 1, "{}", run.stdout);
    assert!(
        run.stdout.contains("shared/1-2-0, segment ") && run.stdout.contains("truncated"),
        "{}",
        run.stdout
    );
    assert!(
        run.stderr.contains("chk-5: 1 problem") && run.stderr.contains("chk-6: 1 problem"),
        "{}",
        run.stderr
    );
    let run = weir(&["checkpoint", "fsck", text(&one.join("shared"))]);
    assert!(run.code == 1 && run.stderr.contains("is no checkpoint"), "{}", run.stderr);
}

/// Of a checkpoint whose manifest is damaged goes what is known to be its own.
#[test]
fn a_damaged_checkpoint_is_removed_as_far_as_it_is_known() {
    let folder = tempfile::tempdir().expect("a directory");
    let job = folder.path().join("job");
    copy(&path("tests/fixtures/checkpoint-1/job"), &job);
    copy(&job.join("chk-5"), &job.join("chk-6"));
    fs::write(job.join("chk-6/6-0"), "operator state").expect("written");
    fs::write(job.join("shared/6-2-0"), "pages").expect("written");
    let metadata = job.join("chk-6/_metadata");
    let mut damaged = fs::read(&metadata).expect("a manifest");
    damaged[60] ^= 1;
    fs::write(&metadata, damaged).expect("written");
    let rm = |chk: &str, more: &[&str]| weir(&[&["checkpoint", "rm", text(&job.join(chk))], more].concat());
    // what the other one needs is in the damaged one's manifest
    let run = rm("chk-5", &[]);
    assert!(
        run.code == 1 && run.stderr.contains("chk-6' cannot be read") && run.stderr.contains("--force"),
        "{}",
        run.stderr
    );
    let run = rm("chk-6", &[]).succeeded();
    assert!(
        run.stdout.contains("removed, 2 files") && run.stdout.contains("1 there are named by"),
        "{}",
        run.stdout
    );
    assert!(!job.join("chk-6").exists());
    assert_eq!(fs::read_dir(job.join("shared")).expect("a directory").count(), 4);
    weir(&["checkpoint", "fsck", text(&job)]).succeeded();

    // with force also what no checkpoint names, and nothing that one does
    fs::create_dir(job.join("chk-7")).expect("created");
    fs::write(job.join("chk-7/_metadata"), "WEIRCHKP").expect("written");
    let run = rm("chk-7", &["--force"]).succeeded();
    assert!(run.stdout.contains("removed, 2 files") && !run.stdout.contains("named by"), "{}", run.stdout);
    weir(&["checkpoint", "fsck", text(&job)]).succeeded();

    // beside a damaged one it takes along nothing that others may need
    fs::create_dir(job.join("chk-8")).expect("created");
    fs::write(job.join("chk-8/_metadata"), "WEIRCHKP").expect("written");
    rm("chk-5", &["--force"]).succeeded();
    assert_eq!(fs::read_dir(job.join("shared")).expect("a directory").count(), 3);
}
