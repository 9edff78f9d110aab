use super::*;
use futures::executor::block_on;
use object_store::memory::InMemory;

fn both() -> Vec<(Directory, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().expect("a directory");
    let local =
        Directory::open(folder.path().to_str().expect("UTF-8"), &Environment::new()).expect("it opens");
    let objects = Directory::of_store(Arc::new(InMemory::new()), "mem://bucket", "jobs/");
    vec![(local, Some(folder)), (objects, None)]
}

#[test]
fn files_are_written_once_and_read() {
    for (directory, _folder) in both() {
        block_on(async {
            let chk = directory.join("job/chk-1");
            chk.create("_metadata", Bytes::from_static(b"hello")).await.expect("created");
            let twice = chk.create("_metadata", Bytes::from_static(b"other")).await.expect_err("it exists");
            assert!(twice.to_string().contains("exists already"), "{twice}");
            assert_eq!(&chk.read("_metadata").await.expect("read")[..], b"hello");
            assert_eq!(&chk.read_range("_metadata", 1, 3).await.expect("read")[..], b"ell");
            chk.create("../shared/x", Bytes::from_static(b"shared")).await.expect("created");
            assert_eq!(directory.join("job").list().await.expect("listed"), ["chk-1", "shared"]);
            assert_eq!(chk.list().await.expect("listed"), ["_metadata"], "nothing is left beside it");
            assert_eq!(directory.size("job/shared/x").await, Ok(Some(6)));
            chk.delete("../shared/x").await.expect("deleted");
            chk.delete("../shared/x").await.expect("deleted before");
            assert_eq!(directory.size("job/shared/x").await, Ok(None));
        });
    }
}

#[test]
fn what_is_missing_or_short_is_named() {
    for (directory, _folder) in both() {
        block_on(async {
            let missing = directory.read("nope").await.expect_err("missing");
            assert!(
                matches!(&missing, CheckpointError::Missing { file, .. } if file.ends_with("/nope")),
                "{missing}"
            );
            assert!(directory.join("nothing").list().await.expect("listed").is_empty());
            directory.create("f", Bytes::from_static(b"12345")).await.expect("created");
            for (offset, at) in [(3, 5), (5, 5), (9, 9)] {
                match directory.read_range("f", offset, 4).await {
                    Err(CheckpointError::Truncated { file, offset, .. }) => {
                        assert!(file.ends_with("/f"), "{file}");
                        assert_eq!(offset, at);
                    }
                    other => panic!("{other:?}"),
                }
            }
        });
    }
}

#[test]
fn local_files_go_up_and_come_down() {
    let outside = tempfile::tempdir().expect("a directory");
    for (index, (directory, _folder)) in both().into_iter().enumerate() {
        for bytes in [10, 20 << 20] {
            let from = outside.path().join(format!("from-{index}-{bytes}"));
            let to = outside.path().join(format!("to-{index}-{bytes}"));
            let contents: Vec<u8> = (0..bytes).map(|at: u32| (at % 251) as u8).collect();
            std::fs::write(&from, &contents).expect("written");
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
            runtime.block_on(async {
                let name = format!("shared/{bytes}.sst");
                let expected = (u64::from(bytes), FileChecksums::of(&contents));
                assert_eq!(directory.upload(&name, &from, None).await, Ok(expected.clone()));
                assert_eq!(directory.download(&name, &to).await, Ok(expected.clone()));
                assert_eq!(directory.checksums(&name).await, Ok(Some(expected)));
                assert_eq!(directory.checksums("shared/nope").await, Ok(None));
            });
            assert!(std::fs::read(&to).expect("read") == contents, "{bytes} bytes");
        }
    }
}

#[test]
fn places_are_shown_as_people_write_them() {
    let open = |url: &str| Directory::open(url, &Environment::new());
    for (url, shown) in [
        ("/data/chk", "/data/chk/x"),
        ("file:///data/chk/", "/data/chk/x"),
        ("file:/data/chk", "/data/chk/x"),
        ("/data/./chk", "/data/chk/x"),
    ] {
        let directory = open(url).expect("it opens");
        assert_eq!(directory.show("x"), shown);
        assert_eq!(directory.join("a/b").show("../../x"), shown);
        assert!(directory.is_local());
    }
    let here = open("relative").expect("it opens").show("");
    assert!(here.starts_with('/') && here.ends_with("/relative"), "{here}");
    for (url, reason) in [("", "empty"), ("hdfs://namenode/x", "hdfs://"), ("s3:// nope", "s3")] {
        let error = open(url).expect_err("refused").to_string();
        assert!(error.contains(reason), "{error}");
    }
    let variables = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]
        .into_iter()
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let environment = Environment::of_variables(variables);
    let bucket = Directory::open("s3://bucket/some/prefix", &environment).expect("it opens");
    assert_eq!(bucket.join("job").show("chk-1/_metadata"), "s3://bucket/some/prefix/job/chk-1/_metadata");
    assert!(!bucket.is_local());
    let environment = environment.with_store("test://x", Arc::new(InMemory::new()));
    assert_eq!(Directory::open("test://x/a/", &environment).expect("it opens").show("b"), "test://x/a/b");
    assert!(Directory::open("test://xy/a", &environment).is_err());
}

/// A file as a manifest has it.
fn record(path: &str, contents: &[u8]) -> FileRecord {
    let checksums = Some(FileChecksums::of(contents));
    FileRecord { path: path.to_string(), bytes: contents.len() as u64, checksums }
}

/// Copies are read first, and nothing depends on them: wherever the files are.
#[test]
fn second_copies_serve_when_they_are_whole() {
    for (directory, _folder) in both() {
        let outside = tempfile::tempdir().expect("a directory");
        let roots = [outside.path().join("one/7"), outside.path().join("two/7")];
        let plain = directory.join("jobs/7");
        let mirrored = plain.clone().mirrored(&roots);
        let chk = mirrored.join("chk-1");
        let local = outside.path().join("from.sst");
        std::fs::write(&local, b"sst").expect("written");
        let (pages, sst) = (record("../shared/1-0", b"pages"), record("../shared/a.sst", b"sst"));
        let copy = |name: &str| {
            let copies = roots.iter().map(|root| root.join("shared").join(name));
            copies.into_iter().find(|copy| copy.exists())
        };
        block_on(async {
            chk.create("_metadata", Bytes::from_static(b"meta")).await.expect("created");
            let mut writer = chk.writer("../shared/1-0", 100).await.expect("begun");
            writer.write(b"pages").await.expect("written");
            assert_eq!(writer.finish().await, Ok((5, FileChecksums::of(b"pages"))));
            chk.upload("../shared/a.sst", &local, None).await.expect("uploaded");
            drop(chk.writer("../shared/dropped", 100).await.expect("begun"));
            assert_eq!(copy("dropped"), None, "it was never finished");

            plain.delete("shared/1-0").await.expect("deleted");
            assert_eq!(&chk.read_range_of(&pages, 1, 3).await.expect("the copy")[..], b"age");
            assert_eq!(chk.copy_of(&sst).await, copy("a.sst"));
            let read = CopiesRead { files: 2, bytes: 8, passed_over: Vec::new() };
            assert_eq!((mirrored.copies_read(), mirrored.copies_read()), (read, CopiesRead::default()));

            let damaged = copy("a.sst").expect("a copy");
            std::fs::remove_file(&damaged).expect("removed");
            std::fs::write(&damaged, b"sss").expect("other contents of the same length");
            assert_eq!(&chk.read_range_of(&sst, 0, 3).await.expect("the file")[..], b"sst");
            std::fs::remove_file(copy("1-0").expect("a copy")).expect("removed");
            assert!(chk.read_range_of(&pages, 0, 1).await.is_err(), "neither file nor copy");
            let CopiesRead { files, passed_over, .. } = mirrored.copies_read();
            assert_eq!((files, passed_over.len()), (0, 2), "{passed_over:?}");
            let reason = format!("{}: corrupt at offset 0", damaged.display());
            assert!(passed_over[0].starts_with(&reason), "{passed_over:?}");
            assert!(passed_over[1].ends_with("shared/1-0: there is no such copy"), "{passed_over:?}");

            mirrored.delete("shared/a.sst").await.expect("deleted");
            assert!(!damaged.exists());
            mirrored.clear_mirror().await;
            assert_eq!(roots.clone().map(|root| root.exists()), [false, false]);
            assert_eq!(&chk.read("_metadata").await.expect("the file")[..], b"meta");
        });
    }
}

/// So that disks share the work.
#[test]
fn copies_are_dealt_out_to_all_directories() {
    let roots = ["/a", "/b", "/c"].map(PathBuf::from);
    let mirror = Mirror::new(&roots, "jobs/7");
    let copies = (0..300).filter_map(|file| mirror.copy(&format!("jobs/7/shared/{file}.sst")));
    let mut found = [0; 3];
    for copy in copies {
        let root = roots.iter().position(|root| copy.starts_with(root)).expect("one of them");
        found[root] += 1;
    }
    assert!(found.iter().all(|copies| (70..130).contains(copies)), "{found:?}");
    assert_eq!(mirror.copy("jobs/8/shared/1.sst"), None, "of another job");
}

#[test]
fn a_file_in_the_way_is_named() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("taken");
    std::fs::write(&file, "x").unwrap();
    let open = |path: &Path| Directory::open(path.to_str().unwrap(), &Environment::new()).unwrap();
    open(&temporary.path().join("new/below")).can_be_made().unwrap();
    open(temporary.path()).can_be_made().unwrap();
    for path in [file.clone(), file.join("below")] {
        let message = open(&path).can_be_made().unwrap_err().to_string();
        assert!(message.contains(&format!("'{}' is not a directory", file.display())), "{message}");
        let created = block_on(open(&path).create("below", Bytes::new()));
        let message = created.expect_err("a file is in the way").to_string();
        assert!(message.ends_with("a file stands in its place"), "{message}");
    }
}

/// A directory belongs to one job that runs, and to none when that is gone.
#[test]
fn a_directory_is_one_jobs_own() {
    let folder = tempfile::tempdir().expect("a directory");
    let root = Directory::open(folder.path().to_str().expect("UTF-8"), &Environment::new()).expect("opened");
    let job = root.join("job");
    assert_eq!(job.occupied_by(), None);
    let occupied = job.occupy().expect("free").expect("local");
    let process = format!("process {}", std::process::id());
    assert_eq!(job.occupied_by(), Some(process.clone()));
    let error = job.occupy().expect_err("taken").to_string();
    assert!(error.contains(&process) && error.contains("/job"), "{error}");
    assert!(root.join("other").occupy().is_ok());
    drop(occupied);
    assert_eq!(job.occupied_by(), None);
    std::fs::write(folder.path().join("job/.running"), "1").expect("what a job left that was killed");
    assert_eq!(job.occupied_by(), None);
    assert!(job.occupy().is_ok());
}
