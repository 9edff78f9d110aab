use super::*;
use futures::executor::block_on;
use object_store::ObjectStore;
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
                assert_eq!(directory.upload(&name, &from).await, Ok(u64::from(bytes)));
                assert_eq!(directory.download(&name, &to).await, Ok(u64::from(bytes)));
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

/// Copies are read first, and nothing depends on them.
#[test]
fn second_copies_serve_when_they_are_whole() {
    let folder = tempfile::tempdir().expect("a directory");
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let plain = Directory::of_store(objects, "mem://b", "jobs/7");
    let mirrored = plain.clone().mirrored(folder.path());
    let local = folder.path().join("from.sst");
    std::fs::write(&local, b"sst").expect("written");
    block_on(async {
        let chk = mirrored.join("chk-1");
        chk.create("_metadata", Bytes::from_static(b"meta")).await.expect("created");
        let mut writer = chk.writer("../shared/1-0", 100).await.expect("begun");
        writer.write(b"pages").await.expect("written");
        assert_eq!(writer.finish().await, Ok(5));
        chk.upload("../shared/a.sst", &local).await.expect("uploaded");
        drop(chk.writer("../shared/dropped", 100).await.expect("begun"));
        let mut copies: Vec<_> =
            std::fs::read_dir(folder.path().join("shared")).expect("there").flatten().collect();
        copies.sort_by_key(|copy| copy.file_name());
        assert_eq!(copies.iter().map(|copy| copy.file_name()).collect::<Vec<_>>(), ["1-0", "a.sst"]);
        plain.delete("shared/1-0").await.expect("deleted");
        assert_eq!(&mirrored.read_range("shared/1-0", 1, 3).await.expect("the copy")[..], b"age");
        std::fs::write(folder.path().join("shared/a.sst"), b"").expect("cut");
        assert_eq!(&mirrored.read_range("shared/a.sst", 0, 3).await.expect("the file")[..], b"sst");
        mirrored.delete("shared/a.sst").await.expect("deleted");
        assert!(!folder.path().join("shared/a.sst").exists());
        mirrored.clear_mirror().await;
        assert_eq!(&chk.read("_metadata").await.expect("the file")[..], b"meta");
        assert!(mirrored.read_range("shared/1-0", 0, 1).await.is_err(), "neither file nor copy");
    });
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
