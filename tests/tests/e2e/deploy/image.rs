//! The image, as far as that can be seen without a container engine.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::chart::folder;
use crate::members::Member;
use crate::program;
use crate::truth::truth;
use crate::world::World;

/// The user and group of the image.
const NOBODY: u32 = 65532;

fn root() -> PathBuf {
    folder().join("../..")
}

/// Instructions with their arguments, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(folder().join("Containerfile")).unwrap();
    let lines: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instructions = joined.lines().filter_map(|line| line.trim().split_once(' '));
    instructions.map(|(name, arguments)| (name.to_owned(), arguments.trim().to_owned())).collect()
}

/// What is copied from the repository.
fn sources() -> Vec<String> {
    let mut sources = Vec::new();
    for (name, arguments) in instructions() {
        if name == "COPY" && !arguments.starts_with("--from=") {
            let words: Vec<_> = arguments.split_whitespace().map(str::to_owned).collect();
            sources.extend_from_slice(&words[..words.len() - 1]);
        }
    }
    sources
}

/// The last pattern that matches decides; a pattern without wildcards matches what lies below it, too.
fn is_ignored(path: &str) -> bool {
    let text = std::fs::read_to_string(folder().join("Containerfile.dockerignore")).unwrap();
    let patterns = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    patterns.fold(false, |ignored, line| {
        let (pattern, ignores) = line.strip_prefix('!').map_or((line, true), |pattern| (pattern, false));
        assert!(pattern == "*" || !pattern.contains(['*', '?', '[']), "this test does not know the pattern {pattern}");
        let is_met = pattern == "*" || Path::new(path).starts_with(pattern);
        if is_met { ignores } else { ignored }
    })
}

/// Files that git knows or would take, below a path.
fn files(path: &str) -> BTreeSet<String> {
    let mut git = Command::new("git");
    git.args(["ls-files", "--cached", "--others", "--exclude-standard", "--", path]).current_dir(root());
    let output = git.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let files = String::from_utf8(output.stdout).unwrap();
    // Those that are deleted and not committed yet are no files.
    files.lines().filter(|file| root().join(file).is_file()).map(str::to_owned).collect()
}

#[test]
fn the_image_runs_as_the_pod_says_and_has_no_shell() {
    let all = instructions();
    let last = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    assert_eq!(all[last].1, "scratch");
    let stage: Vec<_> = all[last + 1..].iter().map(|(name, arguments)| (name.as_str(), arguments.as_str())).collect();
    assert!(
        stage.contains(&("COPY", "--from=build /image/ /")) && stage.contains(&("USER", "65532:65532")),
        "{stage:?}"
    );
    assert!(stage.contains(&("ENTRYPOINT", "[\"/dns-syncd\"]")), "{stage:?}");
    let pod = std::fs::read_to_string(folder().join("chart/templates/_pod.tpl")).unwrap();
    assert!(pod.contains("runAsUser: 65532\n") && pod.contains("runAsGroup: 65532\n"));
    let rust = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let (_, version) = all.iter().find(|(name, _)| name == "ARG").unwrap();
    let version = version.strip_prefix("RUST_VERSION=").unwrap();
    assert!(rust.contains(&format!("\nrust-version = \"{version}\"\n")), "{version} is not the oldest compiler");
}

#[test]
fn everything_that_is_copied_is_there_and_not_ignored() {
    for source in sources() {
        assert!(root().join(&source).exists(), "{source}");
        let files = files(&source);
        let kept: Vec<_> = files.iter().filter(|file| !is_ignored(file)).collect();
        assert!(!kept.is_empty(), "{source} is ignored");
        let left_out = files.iter().filter(|file| is_ignored(file)).all(|file| file.starts_with("dns-syncd/deploy/"));
        assert!(left_out, "{source} comes in part alone");
    }
    let (_, run) = instructions().into_iter().rfind(|(name, _)| name == "RUN").unwrap();
    let script = run.split(' ').next().unwrap();
    assert!(files("dns-syncd").contains(script) && !is_ignored(script), "{run}");
    assert!(is_ignored("target/debug/dns-syncd") && is_ignored(".git/config"));
}

/// In a folder with nothing else Cargo knows every package and every file of the program.
#[test]
fn what_is_copied_is_enough_for_cargo() {
    let folder = tempfile::tempdir().unwrap();
    for source in sources() {
        for file in files(&source).into_iter().filter(|file| !is_ignored(file)) {
            let to = folder.path().join(&file);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(root().join(&file), to).unwrap();
        }
    }
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--offline", "--format-version", "1", "--no-deps"]).current_dir(folder.path());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: BTreeSet<_> =
        metadata["packages"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap()).collect();
    let all = ["dns-bench", "dns-conformance", "dns-providers", "dns-sync-core", "dns-syncd", "dnsprovider"];
    assert_eq!(packages, BTreeSet::from(all));

    // Texts that the program takes in while it is compiled.
    for source in files("dns-syncd/src").into_iter().chain(files("providers/src")).chain(files("dnsprovider/src")) {
        let text = std::fs::read_to_string(root().join(&source)).unwrap_or_default();
        for taken in text.split("include_").skip(1).filter_map(|rest| rest.split_once("!(\"")) {
            let path = taken.1.split('"').next().unwrap();
            let at = folder.path().join(&source).parent().unwrap().join(path);
            assert!(at.exists(), "{source} takes in {path}, which is not copied");
        }
    }
}

/// The libraries of C alone, which a build for musl brings along: `build-static` refuses any other.
#[test]
fn the_program_needs_no_library_but_that_of_c() {
    let output = Command::new("readelf").args(["--dynamic", "--wide"]).arg(program::program()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let needed = text.lines().filter(|line| line.contains("(NEEDED)"));
    let needed: Vec<_> = needed.filter_map(|line| line.split(['[', ']']).nth(1)).collect();
    let of_c = |name: &&str| ["libc.", "libm.", "libgcc_s.", "ld-linux"].iter().any(|known| name.starts_with(known));
    assert!(needed.iter().all(of_c), "{needed:?}");
}

//----------- What build-static gives ---------------------------------

/// As a container engine starts it: the image's files and what is mounted, a root that cannot be written, and the user
/// of the image with no rights at all. The process keeps its id.
const AS_ENGINES_DO: &str = "\
    set -eu; root=$0 image=$1 folder=$2; shift 2; \
    mount -t tmpfs none \"$root\"; cp -a \"$image/.\" \"$root\"; \
    echo nameserver 127.0.0.1 >\"$root/etc/resolv.conf\"; mkdir -p \"$root$folder\"; \
    mount --bind \"$folder\" \"$root$folder\"; mount -o remount,ro \"$root\"; \
    exec chroot --userspec=65532:65532 \"$root\" /dns-syncd run --config \"$1\"";

/// Files below a folder.
fn below(folder: &Path, at: &Path, files: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(at).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            below(folder, &path, files);
        } else {
            files.insert(path.strip_prefix(folder).unwrap().to_owned());
        }
    }
}

/// The folder is that of the image's user, as a volume of the pod is.
fn give_away(folder: &Path) {
    chown(folder, Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            give_away(&path);
        } else {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs DNS_SYNCD_IMAGE, the folder that build-static made, and root: .ci/run runs it"]
async fn the_static_build_answers_as_nobody_in_a_root_that_cannot_be_written() {
    assert_eq!(std::fs::metadata("/proc/self").unwrap().uid(), 0, "it takes root to become another user");
    let image = PathBuf::from(std::env::var_os("DNS_SYNCD_IMAGE").expect("DNS_SYNCD_IMAGE names the folder"));
    let mut found = BTreeSet::new();
    below(&image, &image, &mut found);
    let expected = ["dns-syncd", "etc/ssl/certs/ca-certificates.crt"].map(PathBuf::from);
    assert_eq!(found, BTreeSet::from(expected));
    let output =
        Command::new("readelf").args(["--program-headers", "--dynamic"]).arg(image.join("dns-syncd")).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("LOAD") && !told.contains("INTERP") && !told.contains("(NEEDED)"), "{told}");

    let mut world = World::embedded();
    let member = Member::new("eu").with("web", &["192.0.2.1", "2001:db8::1"]);
    world.clusters.put(&member);
    world.expect(truth(std::slice::from_ref(&member)));
    world.allow_silence(); // until it listens
    let (config, root) = (world.config(), tempfile::tempdir().unwrap());
    give_away(config.parent().unwrap());
    let mut command = Command::new("unshare");
    command.env_clear().stdin(Stdio::null()).args(["--mount", "sh", "-c", AS_ENGINES_DO]);
    command.arg(root.path()).arg(&image).arg(config.parent().unwrap()).arg(&config);
    world.start_as(command);
    world.settle("it answers").await;

    let of_process = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", world.process())).unwrap();
    let status = of_process("status");
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!((field("Uid:"), field("Gid:")), (vec!["65532".to_owned(); 4], vec!["65532".to_owned(); 4]));
    assert!(field("Groups:").is_empty() && field("CapEff:") == ["0000000000000000"], "{status}");
    let mounts = of_process("mountinfo");
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    assert!(root.split(' ').nth(5).unwrap().split(',').any(|option| option == "ro"), "{mounts}");

    let moved = member.with("web", &["192.0.2.9"]);
    world.expect(truth(std::slice::from_ref(&moved)));
    world.clusters.put(&moved);
    world.settle("it follows").await;
    world.allow_silence(); // it is the server, too
    world.stop().await;
}
