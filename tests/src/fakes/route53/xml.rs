//! XML as the API speaks it: elements without attributes, in one namespace, checked against a [`Shape`].

use std::fmt::Write as _;

use quick_xml::Reader;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};

use super::errors::Refusal;
use super::model::{Field, NAMESPACE, Named, Shape};

/// An element: its text, or its children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// The local name.
    pub name: String,
    /// The text between the tags, empty where there are children.
    pub text: String,
    /// The elements inside, in their order.
    pub children: Vec<Element>,
}

impl Element {
    /// An element with text.
    pub fn text(name: &str, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), text: text.into(), children: Vec::new() }
    }

    /// An element with children.
    pub fn parent(name: &str, children: Vec<Self>) -> Self {
        Self { name: name.to_owned(), text: String::new(), children }
    }

    /// The first child of this name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The text of the first child of this name.
    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The document with this root, in the API's namespace.
    pub fn document(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\"?>\n");
        self.write(&mut out, Some(NAMESPACE));
        out
    }

    fn write(&self, out: &mut String, namespace: Option<&str>) {
        let Self { name, text, children } = self;
        let namespace = namespace.map(|namespace| format!(" xmlns=\"{namespace}\"")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = write!(out, "<{name}{namespace}>{}", quick_xml::escape::escape(text.as_str()));
        for child in children {
            child.write(out, None);
        }
        let _ = write!(out, "</{name}>");
    }

    /// Reads a document; why it is none, or its namespace is another, in words.
    pub fn parse(document: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(document);
        let mut open: Vec<Self> = Vec::new();
        let mut root = None;
        loop {
            let done = match reader.read_event().map_err(|error| error.to_string())? {
                Event::Start(start) => {
                    open.push(Self::open(&start, open.is_empty() && root.is_none())?);
                    None
                }
                Event::Empty(start) => Some(Self::open(&start, open.is_empty() && root.is_none())?),
                Event::End(_) => open.pop(),
                Event::Text(text) => {
                    let text = text.xml_content(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
                    Self::append(&mut open, &text)?;
                    None
                }
                Event::CData(text) => {
                    let text = text.xml_content(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
                    Self::append(&mut open, &text)?;
                    None
                }
                Event::GeneralRef(reference) => {
                    let character = reference.resolve_char_ref().map_err(|error| error.to_string())?;
                    let name = reference.decode().map_err(|error| error.to_string())?;
                    let text = match character {
                        Some(character) => character.to_string(),
                        None => quick_xml::escape::resolve_predefined_entity(&name)
                            .ok_or_else(|| format!("the entity `{name}` is not declared"))?
                            .to_owned(),
                    };
                    Self::append(&mut open, &text)?;
                    None
                }
                Event::DocType(_) => return Err("a DOCTYPE is not allowed".to_owned()),
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => None,
                Event::Eof => return root.ok_or_else(|| "premature end of file".to_owned()),
            };
            if let Some(mut element) = done {
                if !element.children.is_empty() && element.text.trim().is_empty() {
                    element.text.clear(); // indentation
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None if root.is_none() => root = Some(element),
                    None => return Err("there is more than one root".to_owned()),
                }
            }
        }
    }

    fn open(start: &BytesStart<'_>, is_root: bool) -> Result<Self, String> {
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        let mut namespace = None;
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|error| error.to_string())?;
            let value = String::from_utf8_lossy(&attribute.value).into_owned();
            if attribute.key.as_ref() != b"xmlns" {
                return Err(format!("the attribute of `{name}` with the value `{value}` is not allowed"));
            }
            namespace = Some(value);
        }
        match namespace.as_deref() {
            Some(NAMESPACE) => {}
            None if !is_root => {}
            other => return Err(format!("`{name}` has the namespace {other:?}")),
        }
        Ok(Self::text(&name, ""))
    }

    fn append(open: &mut [Self], text: &str) -> Result<(), String> {
        match open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim().is_empty() => {}
            None => return Err("there is text outside the root".to_owned()),
        }
        Ok(())
    }
}

/// Checks an element against its shape: `InvalidInput`, in words like those of the service, when it does not fit.
///
/// The order of fields is free: the vendor's own Rust client does not send the order that the documentation asks for.
pub(super) fn check(element: &Element, of: &Named) -> Result<(), Refusal> {
    match &of.shape {
        Shape::Structure(fields) => check_structure(element, fields),
        Shape::List { min, element: name, item } => {
            no_text(element)?;
            if element.children.len() < *min {
                return Err(incomplete(&element.name, name));
            }
            for child in &element.children {
                if child.name != *name {
                    return Err(unexpected(child, name));
                }
                check(child, item)?;
            }
            Ok(())
        }
        _ if !element.children.is_empty() => Err(unexpected(&element.children[0], "")),
        _ => check_text(&element.name, &element.text, of),
    }
}

fn check_structure(element: &Element, fields: &[Field]) -> Result<(), Refusal> {
    no_text(element)?;
    let expected = || fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
    for (index, child) in element.children.iter().enumerate() {
        let Some(field) = fields.iter().find(|field| field.name == child.name) else {
            return Err(unexpected(child, &expected()));
        };
        if element.children[..index].iter().any(|other| other.name == child.name) {
            return Err(unexpected(child, &expected())); // a second one
        }
        check(child, field.of)?;
    }
    match fields.iter().find(|field| field.required && element.child(field.name).is_none()) {
        Some(missing) => Err(incomplete(&element.name, missing.name)),
        None => Ok(()),
    }
}

/// Checks the text of an element or parameter against a shape that has no elements inside.
pub(super) fn check_text(name: &str, text: &str, of: &Named) -> Result<(), Refusal> {
    let fits = match &of.shape {
        Shape::Text { min, max } => (*min..=*max).contains(&text.chars().count()),
        Shape::Word(words) => words.contains(&text),
        Shape::Integer { min, max } => text.parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number)),
        Shape::Boolean => ["true", "false"].contains(&text),
        Shape::List { .. } | Shape::Structure(_) => false,
    };
    if fits {
        return Ok(());
    }
    let why = match &of.shape {
        Shape::Text { min, .. } if text.chars().count() < *min => {
            format!("Member must have length greater than or equal to {min}")
        }
        Shape::Text { max, .. } => format!("Member must have length less than or equal to {max}"),
        Shape::Word(words) => format!("Member must satisfy enum value set: [{}]", words.join(", ")),
        Shape::Integer { min, max } => format!("Member must have value between {min} and {max}"),
        _ => "Member must be true or false".to_owned(),
    };
    Err(Refusal::invalid_input(format!(
        "1 validation error detected: Value '{text}' at '{name}' failed to satisfy constraint: {why}"
    )))
}

fn no_text(element: &Element) -> Result<(), Refusal> {
    if element.text.trim().is_empty() {
        return Ok(());
    }
    Err(invalid_xml(&format!(
        "cvc-complex-type.2.3: Element '{}' cannot have character [children], because the type's content type is \
         element-only.",
        element.name
    )))
}

fn unexpected(element: &Element, expected: &str) -> Refusal {
    invalid_xml(&format!(
        "cvc-complex-type.2.4.a: Invalid content was found starting with element '{}'. One of '{{{expected}}}' is \
         expected.",
        element.name
    ))
}

fn incomplete(element: &str, expected: &str) -> Refusal {
    invalid_xml(&format!(
        "cvc-complex-type.2.4.b: The content of element '{element}' is not complete. One of \
         '{{\"{NAMESPACE}\":{expected}}}' is expected."
    ))
}

/// A document that cannot be read, or that breaks the schema.
pub(super) fn invalid_xml(why: &str) -> Refusal {
    Refusal::invalid_input(format!("Invalid XML ; javax.xml.stream.XMLStreamException: {why}"))
}
