//! Values out of TOML.
//!
//! The parser is the crate `toml`'s, the types are read by serde; what lies between is ours. The crate's own takes its
//! tree apart as it reads, and the code for that is made anew for every type: an eighth of `rinit`, which has to fit into
//! little memory. This one looks at the tree, and leaves little to be made anew.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde_spanned::de::{SpannedDeserializer, is_spanned};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why a text is not what was wanted, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What is wrong, as the parser or the type says it.
    pub message: String,
    /// Bytes of the text that it is about.
    pub span: Option<Range<usize>>,
}

impl Mistake {
    /// The innermost place counts.
    fn at(mut self, span: Range<usize>) -> Self {
        self.span.get_or_insert(span);
        self
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            span: None,
        }
    }
}

impl From<toml::de::Error> for Mistake {
    fn from(error: toml::de::Error) -> Self {
        Self {
            message: error.message().to_owned(),
            span: error.span(),
        }
    }
}

/// Reads a text.
///
/// # Errors
/// It is no TOML, or not of this type.
pub fn from_text<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    let table = DeTable::parse(text)?;
    let span = table.span();
    from_table(table.get_ref(), span)
}

/// Reads a table, which is about `span` of some text.
///
/// # Errors
/// It is not of this type.
pub(crate) fn from_table<T: DeserializeOwned>(
    table: &DeTable<'_>,
    span: Range<usize>,
) -> Result<T, Mistake> {
    let node = Node::Table(table);
    T::deserialize(Placed { node, span })
}

/// A part of the tree.
#[derive(Clone, Copy)]
enum Node<'t, 'i> {
    Table(&'t DeTable<'i>),
    Value(&'t DeValue<'i>),
}

/// And its place in the text.
struct Placed<'t, 'i> {
    node: Node<'t, 'i>,
    span: Range<usize>,
}

impl<'t, 'i> Placed<'t, 'i> {
    fn new(value: &'t Spanned<DeValue<'i>>) -> Self {
        let node = match value.get_ref() {
            DeValue::Table(table) => Node::Table(table),
            other => Node::Value(other),
        };
        let span = value.span();
        Self { node, span }
    }

    /// Some types look at a value first and judge it later: that is about the whole of it.
    fn give<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Mistake> {
        let span = self.span.clone();
        seed.deserialize(self).map_err(|mistake| mistake.at(span))
    }
}

impl<'de> IntoDeserializer<'de, Mistake> for Placed<'_, '_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Placed<'_, '_> {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let read = match self.node {
            Node::Table(table) => visitor.visit_map(Entries::of(table)),
            Node::Value(DeValue::String(text)) => visitor.visit_str(text),
            Node::Value(DeValue::Integer(number)) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_too_large) => Err(Mistake::custom("integer number overflowed")),
                }
            }
            Node::Value(DeValue::Float(number)) => match number.as_str().parse::<f64>() {
                Ok(number) => visitor.visit_f64(number),
                Err(_no_number) => Err(Mistake::custom("floating-point number overflowed")),
            },
            Node::Value(DeValue::Boolean(yes)) => visitor.visit_bool(*yes),
            Node::Value(DeValue::Array(list)) => visitor.visit_seq(Members(list.iter())),
            // Nothing we read has one.
            Node::Value(DeValue::Datetime(_)) => Err(Mistake::custom("a date has no place here")),
            Node::Value(DeValue::Table(table)) => visitor.visit_map(Entries::of(table)),
        };
        read.map_err(|mistake| mistake.at(self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        let span = self.span.clone();
        let read = visitor.visit_some(self);
        read.map_err(|mistake| mistake.at(span))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let span = self.span.clone();
        let read = visitor.visit_newtype_struct(self);
        read.map_err(|mistake| mistake.at(span))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        if is_spanned(name) {
            let span = self.span.clone();
            return visitor.visit_map(SpannedDeserializer::new(self, span));
        }
        // Nothing but a table will do, so that the code for lists is not made.
        let read = match self.node {
            Node::Table(table) => visitor.visit_map(Entries::of(table)),
            Node::Value(value) => Err(Mistake::invalid_type(kind_of(value), &visitor)),
        };
        read.map_err(|mistake| mistake.at(self.span))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        let read = match self.node {
            Node::Value(DeValue::String(text)) => visitor.visit_enum(word(text)),
            Node::Table(table) => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::of(table)))
            }
            Node::Value(_) => Err(Mistake::custom("wanted string or table")),
        };
        read.map_err(|mistake| mistake.at(self.span))
    }

    serde::forward_to_deserialize_any! {
        bool u8 u16 u32 u64 u128 i8 i16 i32 i64 i128 f32 f64 char str string seq
        bytes byte_buf map unit
        ignored_any unit_struct tuple_struct tuple identifier
    }
}

fn kind_of<'t>(value: &'t DeValue<'_>) -> Unexpected<'t> {
    match value {
        DeValue::String(text) => Unexpected::Str(text),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Unexpected::Signed(number),
            Err(_too_large) => Unexpected::Other("integer"),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Unexpected::Float(number),
            Err(_no_number) => Unexpected::Other("floating-point number"),
        },
        DeValue::Boolean(yes) => Unexpected::Bool(*yes),
        DeValue::Datetime(_) => Unexpected::Other("date"),
        DeValue::Array(_) => Unexpected::Seq,
        DeValue::Table(_) => Unexpected::Map,
    }
}

/// The entries of a table, key by key.
struct Entries<'t, 'i> {
    left: toml::map::Iter<'t, Spanned<Cow<'i, str>>, Spanned<DeValue<'i>>>,
    value: Option<Placed<'t, 'i>>,
}

impl<'t, 'i> Entries<'t, 'i> {
    fn of(table: &'t DeTable<'i>) -> Self {
        Self {
            left: table.iter(),
            value: None,
        }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Mistake;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mistake> {
        let Some((name, value)) = self.left.next() else {
            return Ok(None);
        };
        self.value = Some(Placed::new(value));
        let named = seed.deserialize(word(name.get_ref()));
        named.map(Some).map_err(|mistake| mistake.at(name.span()))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mistake> {
        match self.value.take() {
            Some(value) => value.give(seed),
            None => Err(Mistake::custom("a value was asked for before its key")),
        }
    }
}

/// The members of a list.
struct Members<'t, 'i>(std::slice::Iter<'t, Spanned<DeValue<'i>>>);

impl<'de> SeqAccess<'de> for Members<'_, '_> {
    type Error = Mistake;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mistake> {
        let next = self.0.next().map(Placed::new);
        next.map(|value| value.give(seed)).transpose()
    }
}

fn word(text: &str) -> StrDeserializer<'_, Mistake> {
    text.into_deserializer()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: String,
        size: Option<Spanned<u32>>,
        share: Option<f64>,
        #[serde(default)]
        list: Vec<Spanned<String>>,
        inner: Option<Inner>,
        kind: Option<Kind>,
        rest: Option<BTreeMap<String, bool>>,
        either: Option<Either>,
        table: Option<Table>,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Table {
        deep: bool,
    }

    #[derive(Debug, Deserialize, PartialEq)]
    struct Inner(Vec<i8>);

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "kebab-case")]
    enum Kind {
        Plain,
        With { depth: u8 },
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(untagged)]
    enum Either {
        One(String),
        Several(Vec<String>),
    }

    const WHOLE: &str = "\
name = 'n'
size = 7
share = 0.5
list = ['a', 'b']
inner = [1, -2]
kind = { with = { depth = 3 } }
rest.yes = true
either = ['x']
table.deep = true
";

    #[test]
    fn it_reads_what_the_crate_reads() {
        for text in [WHOLE, "name = 'n'\nkind = 'plain'\neither = 'x'\n"] {
            let theirs: Sample = toml::from_str(text).unwrap();
            assert_eq!(from_text::<Sample>(text).unwrap(), theirs);
        }
    }

    #[test]
    fn it_says_what_the_crate_says() {
        let wrong = [
            "name = ",
            "nam = 'n'",
            "size = 3",
            "name = 3",
            "name = 'n'\nsize = -1",
            "name = 'n'\nsize = 's'",
            "name = 'n'\nlist = ['a', 3]",
            "name = 'n'\nlist = 'a'",
            "name = 'n'\ninner = [1000]",
            "name = 'n'\nkind = 'plane'",
            "name = 'n'\nkind = 3",
            "name = 'n'\ntable = 3",
            "name = 'n'\ntable = 0.5",
            "name = 'n'\ntable = 'x'",
            "name = 'n'\ntable = true",
            "name = 'n'\nkind = { with = { depth = 'x' } }",
            "name = 'n'\neither = 3",
            "name = 'n'\n[rest]\nyes = 'no'",
        ];
        for text in wrong {
            let theirs = Mistake::from(toml::from_str::<Sample>(text).unwrap_err());
            assert_eq!(from_text::<Sample>(text).unwrap_err(), theirs, "{text}");
        }
    }

    #[test]
    fn a_list_is_no_table() {
        let mistake = from_text::<Sample>("name = 'n'\ntable = [true]").unwrap_err();
        assert!(
            mistake.message.contains("invalid type: sequence"),
            "{mistake}"
        );
    }
}
