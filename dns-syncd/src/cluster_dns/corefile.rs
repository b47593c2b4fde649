//! A Corefile, read as far as an edit needs it: its server blocks, their plugins, and our marks between them.
//!
//! The grammar is that of CoreDNS's reader (`coredns/caddy`, package `caddyfile`): words between white space, a quoted
//! word where one begins with `"`, a comment from any `#` outside of quotes to the end of its line, braces that stand
//! alone. Lines count as they do there: a plugin ends with its line unless a brace is open.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Unreadable, bare};

/// What was understood.
#[derive(Debug, Default)]
pub(super) struct Corefile {
    pub(super) servers: Vec<Server>,
    /// What stands after `import` outside of server blocks.
    pub(super) imports: Vec<String>,
    pub(super) marks: Vec<Mark>,
}

/// A server block.
#[derive(Debug)]
pub(super) struct Server {
    /// Its zones and ports, as they are written.
    pub(super) keys: Vec<String>,
    /// With the plugins of the snippets that it imports.
    pub(super) plugins: Vec<Plugin>,
    /// Counted from 0.
    pub(super) lines: RangeInclusive<usize>,
}

/// One use of a plugin.
#[derive(Clone, Debug)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    /// The lines between its braces.
    pub(super) body: Vec<Vec<String>>,
    pub(super) line: usize,
}

/// The lines of a federation's server blocks, with those of its two marks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) federation: String,
    pub(super) lines: RangeInclusive<usize>,
}

pub(super) const BEGIN: &str = "# BEGIN dns-syncd ";
pub(super) const END: &str = "# END dns-syncd ";

/// Plugins that are taken from snippets, for one server: a snippet may import another.
const MOST_IMPORTS: usize = 1000;

impl Corefile {
    pub(super) fn read(text: &str) -> Result<Self, Unreadable> {
        let mut reader = Reader { words: words(text)?, at: 0 };
        let mut snippets = BTreeMap::new();
        let mut corefile = Self::default();
        while let Some(word) = reader.peek() {
            let (first, is_import) = (word.line, word.text == "import");
            if is_import {
                reader.at += 1;
                corefile.imports.extend(reader.rest_of_line().into_iter().next());
                continue;
            }
            let keys = reader.keys()?;
            let plugins = reader.plugins(first)?;
            let last = reader.words[reader.at - 1].line;
            match keys.as_slice() {
                [name] if name.starts_with('(') && name.ends_with(')') => {
                    snippets.insert(name[1..name.len() - 1].to_owned(), plugins);
                }
                _ => corefile.servers.push(Server { keys, plugins, lines: first..=last }),
            }
        }
        for server in &mut corefile.servers {
            server.expand(&snippets);
        }
        corefile.marks = marks(text)?;
        corefile.check_marks()?;
        Ok(corefile)
    }

    /// The federation's mark.
    pub(super) fn mark(&self, federation: &str) -> Option<&Mark> {
        self.marks.iter().find(|mark| mark.federation == federation)
    }

    /// Whether a server block stands between marks, and of which federation.
    pub(super) fn owner(&self, server: &Server) -> Option<&str> {
        let mark = self.marks.iter().find(|mark| mark.lines.contains(server.lines.start()))?;
        Some(&mark.federation)
    }

    /// Fails where the federation's server blocks are there and their marks are not, as after `kubeadm upgrade`, which
    /// writes the Corefile anew without comments.
    pub(super) fn check_not_lost(&self, federation: &str) -> Result<(), Unreadable> {
        let is_ours = |server: &&Server| {
            let Some(kubernetes) = server.plugin("kubernetes") else { return false };
            let is_named = kubernetes.arguments.iter().any(|zone| zone == federation);
            is_named && kubernetes.body.iter().any(|line| line == &["ignore", "empty_service"])
        };
        let lost = self.servers.iter().find(|server| self.owner(server).is_none() && is_ours(server));
        let Some(server) = lost else { return Ok(()) };
        let what = format!("the server blocks of the federation `{federation}` have lost their marks");
        Err(Unreadable::Mark { line: server.lines.start() + 1, what })
    }

    fn check_marks(&self) -> Result<(), Unreadable> {
        for (index, mark) in self.marks.iter().enumerate() {
            if let Some(double) = self.marks[index + 1..].iter().find(|other| other.federation == mark.federation) {
                let what = format!("a second block of the federation `{}`", mark.federation);
                return Err(Unreadable::Mark { line: double.lines.start() + 1, what });
            }
            let is_cut = |server: &&Server| {
                let begins_inside = mark.lines.contains(server.lines.start());
                let ends_inside = mark.lines.contains(server.lines.end());
                let holds = server.lines.contains(mark.lines.start()) || server.lines.contains(mark.lines.end());
                begins_inside != ends_inside || holds
            };
            if self.servers.iter().any(|server| is_cut(&server)) {
                let what = "the marks of `dns-syncd` do not stand around whole server blocks".to_owned();
                return Err(Unreadable::Mark { line: mark.lines.start() + 1, what });
            }
        }
        Ok(())
    }
}

impl Server {
    /// The zones and ports that it answers over plain DNS; the root zone is empty.
    pub(super) fn zones(&self) -> impl Iterator<Item = (String, u16)> + '_ {
        self.keys.iter().filter_map(|key| zone_and_port(key))
    }

    pub(super) fn plugin(&self, name: &str) -> Option<&Plugin> {
        self.plugins.iter().find(|plugin| plugin.name == name)
    }

    fn expand(&mut self, snippets: &BTreeMap<String, Vec<Plugin>>) {
        let mut imports = 0;
        let mut index = 0;
        while index < self.plugins.len() && imports < MOST_IMPORTS {
            let plugin = &self.plugins[index];
            let of = plugin.arguments.first().filter(|_| plugin.name == "import").and_then(|name| snippets.get(name));
            let Some(imported) = of else {
                index += 1;
                continue;
            };
            self.plugins.splice(index..=index, imported.iter().cloned());
            imports += 1;
        }
    }
}

/// Reads `zone`, `zone:port`, `dns://zone:port`; nothing for encrypted transports.
fn zone_and_port(key: &str) -> Option<(String, u16)> {
    let address = match key.split_once("://") {
        Some(("dns", address)) => address,
        Some(_) => return None,
        None => key,
    };
    // CoreDNS's own default, which `-dns.port` changes and clusters do not.
    let (zone, port) = match address.rsplit_once(':') {
        Some((zone, port)) => (zone, port.parse().ok()?),
        None => (address, 53),
    };
    Some((bare(zone), port))
}

//----------- words ---------------------------------------------------

#[derive(Debug)]
struct Word {
    text: String,
    line: usize,
}

fn words(text: &str) -> Result<Vec<Word>, Unreadable> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let (mut line, mut in_comment) = (0, false);
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text).chars();
    while let Some(next) = rest.next() {
        match next {
            '\r' => {}
            _ if next.is_whitespace() => {
                words.extend(word.take());
                if next == '\n' {
                    line += 1;
                    in_comment = false;
                }
            }
            _ if in_comment => {}
            '#' => in_comment = true,
            '"' if word.is_none() => {
                let first = line;
                let text = quoted(&mut rest, &mut line)
                    .ok_or_else(|| Unreadable::Syntax { line: first + 1, what: "a quote that is not closed".into() })?;
                words.push(Word { text, line: first });
            }
            _ => word.get_or_insert_with(|| Word { text: String::new(), line }).text.push(next),
        }
    }
    words.extend(word);
    Ok(words)
}

/// To the closing quote; only quotes can be escaped.
fn quoted(rest: &mut std::str::Chars<'_>, line: &mut usize) -> Option<String> {
    let mut text = String::new();
    let mut is_escaped = false;
    for next in rest {
        match next {
            '\\' if !is_escaped => {
                is_escaped = true;
                continue;
            }
            '"' if !is_escaped => return Some(text),
            '\n' => *line += 1,
            _ => {}
        }
        if is_escaped && next != '"' {
            text.push('\\');
        }
        text.push(next);
        is_escaped = false;
    }
    None
}

/// A word as it has to be written so that it is read as this one.
pub(super) fn written(word: &str) -> String {
    let needs_quotes =
        word.is_empty() || word.starts_with('"') || word.contains(|c: char| c.is_whitespace() || c == '#');
    if needs_quotes { format!("\"{}\"", word.replace('"', "\\\"")) } else { word.to_owned() }
}

//----------- Reader --------------------------------------------------

struct Reader {
    words: Vec<Word>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.at)
    }

    /// Whether the next word is the first of its line.
    fn is_at_line_start(&self) -> bool {
        let Some(before) = self.at.checked_sub(1).map(|at| &self.words[at]) else { return true };
        self.peek().is_none_or(|word| before.line + before.text.matches('\n').count() < word.line)
    }

    fn rest_of_line(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        while !self.is_at_line_start() {
            rest.push(self.words[self.at].text.clone());
            self.at += 1;
        }
        rest
    }

    /// The keys of a server block, to behind its opening brace.
    fn keys(&mut self) -> Result<Vec<String>, Unreadable> {
        let mut keys: Vec<String> = Vec::new();
        let mut expects_another = true;
        loop {
            let Some(word) = self.peek() else { return Err(self.syntax("a server block without braces")) };
            if word.text == "{" {
                if keys.is_empty() {
                    return Err(self.syntax("a brace without the zones that it is for"));
                }
                self.at += 1;
                return Ok(keys);
            }
            if word.text == "}" {
                return Err(self.syntax("a closing brace without an opening one"));
            }
            if !expects_another && self.is_at_line_start() {
                return Err(self.syntax("a server block without braces"));
            }
            let word = &self.words[self.at].text;
            expects_another = word.ends_with(',');
            keys.extend(Some(word.trim_end_matches(',').to_owned()).filter(|key| !key.is_empty()));
            self.at += 1;
        }
    }

    /// The plugins of a server block, to behind its closing brace.
    fn plugins(&mut self, first: usize) -> Result<Vec<Plugin>, Unreadable> {
        let mut plugins = Vec::new();
        loop {
            let Some(word) = self.peek() else { return Err(open(first)) };
            let (name, line) = (word.text.clone(), word.line);
            self.at += 1;
            match name.as_str() {
                "}" => return Ok(plugins),
                "{" => return Err(Unreadable::Syntax { line: line + 1, what: "a brace without a plugin".into() }),
                _ => {
                    let mut plugin = Plugin { name, arguments: Vec::new(), body: Vec::new(), line };
                    self.plugin(&mut plugin)?;
                    plugins.push(plugin);
                }
            }
        }
    }

    /// The rest of a plugin: its line, and what stands in braces that were opened on it.
    fn plugin(&mut self, plugin: &mut Plugin) -> Result<(), Unreadable> {
        let mut depth = 0_usize;
        loop {
            let is_first = self.is_at_line_start();
            let Some(word) = self.peek() else {
                return if depth > 0 { Err(open(plugin.line)) } else { Ok(()) };
            };
            // A brace at the beginning of the next line still opens this plugin.
            if depth == 0 && is_first && word.text != "{" {
                return Ok(());
            }
            let text = word.text.clone();
            match (text.as_str(), depth) {
                ("{", _) => depth += 1,
                ("}", 0) => return Err(self.syntax("a closing brace on the line of a plugin that opened none")),
                ("}", _) => depth -= 1,
                (_, 0) => plugin.arguments.push(text),
                _ if is_first || plugin.body.is_empty() => plugin.body.push(vec![text]),
                _ => plugin.body.last_mut().expect("it is not empty").push(text),
            }
            self.at += 1;
        }
    }

    fn syntax(&self, what: &str) -> Unreadable {
        let word = self.peek().or(self.words.last());
        Unreadable::Syntax { line: word.map_or(0, |word| word.line) + 1, what: what.to_owned() }
    }
}

fn open(line: usize) -> Unreadable {
    Unreadable::Syntax { line: line + 1, what: "a brace that is not closed".to_owned() }
}

//----------- marks ---------------------------------------------------

fn marks(text: &str) -> Result<Vec<Mark>, Unreadable> {
    let mut marks = Vec::new();
    let mut open: Option<(String, usize)> = None;
    let wrong = |line: usize, what: String| Err(Unreadable::Mark { line: line + 1, what });
    for (line, content) in text.split('\n').enumerate() {
        let content = content.trim();
        if let Some(federation) = content.strip_prefix(BEGIN) {
            if let Some((before, line)) = open {
                return wrong(line, format!("`{BEGIN}{before}` without its `{END}{before}`"));
            }
            open = Some((federation.trim().to_owned(), line));
        } else if let Some(federation) = content.strip_prefix(END) {
            match open.take() {
                Some((begun, first)) if begun == federation.trim() => {
                    marks.push(Mark { federation: begun, lines: first..=line });
                }
                Some((begun, first)) => return wrong(first, format!("`{BEGIN}{begun}` without its `{END}{begun}`")),
                None => return wrong(line, format!("`{content}` without its beginning")),
            }
        }
    }
    match open {
        Some((begun, line)) => wrong(line, format!("`{BEGIN}{begun}` without its `{END}{begun}`")),
        None => Ok(marks),
    }
}
