//! SQL's types: PostgreSQL's names and numbers for them, and the columns they are kept in.

use std::fmt;
use std::sync::Arc;

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::packed::is_packed;
use crate::precision::{DIGITS_MAX, IntervalFields, IntervalLimit};
use crate::range::RangeKind;
use crate::user::{TypeName, UserKind, UserType};

/// What an oid-like type names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum RegKind {
    /// A relation.
    Class,
    /// A type.
    Type,
    /// A function.
    Proc,
    /// A function with its arguments.
    Procedure,
    /// A schema.
    Namespace,
    /// A role.
    Role,
    /// An operator.
    Oper,
    /// An operator with its arguments.
    Operator,
    /// A text search configuration.
    Config,
    /// A text search dictionary.
    Dictionary,
    /// A collation.
    Collation,
}

/// A SQL type with its modifier.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(remote = "Self")]
#[allow(missing_docs, reason = "each variant is the SQL type of its name")]
pub enum SqlType {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// With precision and scale, or plain: then each value has its own scale.
    Numeric(Option<(u8, i8)>),
    Text,
    /// With the greatest number of characters.
    Varchar(Option<u32>),
    /// `char(n)`, blank-padded; kept without its trailing blanks.
    Char(Option<u32>),
    Name,
    /// `"char"`, one byte.
    InternalChar,
    Bytea,
    Date,
    /// With the digits of a second that it keeps, as its kin.
    Time(Option<u8>),
    Timestamp(Option<u8>),
    Timestamptz(Option<u8>),
    /// With the fields and the digits of a second that it keeps.
    Interval(Option<IntervalLimit>),
    Uuid,
    Json,
    Jsonb,
    Jsonpath,
    Oid,
    Xid,
    Reg(RegKind),
    Array(Box<SqlType>),
    Record,
    Void,
    /// An enum or a composite type of a user.
    User(Arc<UserType>),
    /// What a declaration names and this crate does not know: whoever reads the declaration looks
    /// it up. No column and no expression has it.
    Named(Arc<TypeName>),
    /// A literal or parameter whose context has not typed it yet.
    Unknown,
    // Pseudo types, for the tables of functions.
    Any,
    AnyElement,
    AnyArray,
    AnyNonArray,
    AnyEnum,
    AnyCompatible,
    AnyCompatibleArray,
    Trigger,
    Internal,
    Cstring,
    /// `int2vector` and `oidvector` of the catalogs.
    Int2Vector,
    OidVector,
    /// `pg_node_tree`, `aclitem` and other kinds of text that only catalogs have.
    NodeTree,
    AclItem,
    /// An address, which may say its network's bits.
    Inet,
    /// A network.
    Cidr,
    Macaddr,
    /// `time with time zone`.
    Timetz(Option<u8>),
    /// A place in the log.
    PgLsn,
    /// The name of a cursor.
    Refcursor,
    /// Values between two bounds.
    Range(RangeKind),
    AnyRange,
}

/// Fraction digits kept by the physical form of plain numeric.
pub const NUMERIC_ANY_SCALE: u8 = 36;

/// The Arrow type that marks a plain numeric: no computed fixed-scale numeric has scale 75.
pub const NUMERIC_ANY: DataType = DataType::Decimal256(76, 75);

/// Types by name, oid, array oid, length, category and whether the category prefers it.
const TABLE: &[(SqlType, &str, u32, u32, i16, char, bool)] = &[
    (SqlType::Bool, "bool", 16, 1000, 1, 'B', true),
    (SqlType::Bytea, "bytea", 17, 1001, -1, 'U', false),
    (SqlType::InternalChar, "char", 18, 1002, 1, 'Z', false),
    (SqlType::Name, "name", 19, 1003, 64, 'S', false),
    (SqlType::Int8, "int8", 20, 1016, 8, 'N', false),
    (SqlType::Int2, "int2", 21, 1005, 2, 'N', false),
    (SqlType::Int2Vector, "int2vector", 22, 1006, -1, 'A', false),
    (SqlType::Int4, "int4", 23, 1007, 4, 'N', false),
    (
        SqlType::Reg(RegKind::Proc),
        "regproc",
        24,
        1008,
        4,
        'N',
        false,
    ),
    (SqlType::Text, "text", 25, 1009, -1, 'S', true),
    (SqlType::Oid, "oid", 26, 1028, 4, 'N', true),
    (SqlType::Xid, "xid", 28, 1011, 4, 'U', false),
    (SqlType::OidVector, "oidvector", 30, 1013, -1, 'A', false),
    (SqlType::Json, "json", 114, 199, -1, 'U', false),
    (SqlType::NodeTree, "pg_node_tree", 194, 0, -1, 'Z', false),
    (SqlType::Float4, "float4", 700, 1021, 4, 'N', false),
    (SqlType::Float8, "float8", 701, 1022, 8, 'N', true),
    (SqlType::Unknown, "unknown", 705, 0, -2, 'X', false),
    (SqlType::AclItem, "aclitem", 1033, 1034, 12, 'U', false),
    (SqlType::Char(None), "bpchar", 1042, 1014, -1, 'S', false),
    (
        SqlType::Varchar(None),
        "varchar",
        1043,
        1015,
        -1,
        'S',
        false,
    ),
    (SqlType::Date, "date", 1082, 1182, 4, 'D', false),
    (SqlType::Time(None), "time", 1083, 1183, 8, 'D', false),
    (
        SqlType::Timestamp(None),
        "timestamp",
        1114,
        1115,
        8,
        'D',
        false,
    ),
    (
        SqlType::Timestamptz(None),
        "timestamptz",
        1184,
        1185,
        8,
        'D',
        true,
    ),
    (
        SqlType::Interval(None),
        "interval",
        1186,
        1187,
        16,
        'T',
        true,
    ),
    (
        SqlType::Numeric(None),
        "numeric",
        1700,
        1231,
        -1,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Procedure),
        "regprocedure",
        2202,
        2207,
        4,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Oper),
        "regoper",
        2203,
        2208,
        4,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Operator),
        "regoperator",
        2204,
        2209,
        4,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Class),
        "regclass",
        2205,
        2210,
        4,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Type),
        "regtype",
        2206,
        2211,
        4,
        'N',
        false,
    ),
    (SqlType::Record, "record", 2249, 2287, -1, 'P', false),
    (SqlType::Cstring, "cstring", 2275, 1263, -2, 'P', false),
    (SqlType::Any, "any", 2276, 0, 4, 'P', false),
    (SqlType::AnyArray, "anyarray", 2277, 0, -1, 'P', false),
    (SqlType::Void, "void", 2278, 0, 4, 'P', false),
    (SqlType::Trigger, "trigger", 2279, 0, 4, 'P', false),
    (SqlType::Internal, "internal", 2281, 0, 8, 'P', false),
    (SqlType::AnyElement, "anyelement", 2283, 0, 4, 'P', false),
    (SqlType::AnyNonArray, "anynonarray", 2776, 0, 4, 'P', false),
    (SqlType::AnyEnum, "anyenum", 3500, 0, 4, 'P', false),
    (SqlType::Cidr, "cidr", 650, 651, -1, 'I', false),
    (SqlType::Macaddr, "macaddr", 829, 1040, 6, 'U', false),
    (SqlType::Inet, "inet", 869, 1041, -1, 'I', true),
    (SqlType::Timetz(None), "timetz", 1266, 1270, 12, 'D', false),
    (SqlType::PgLsn, "pg_lsn", 3220, 3221, 8, 'U', false),
    (SqlType::Refcursor, "refcursor", 1790, 2201, -1, 'U', false),
    (
        SqlType::Range(RangeKind::Int4),
        "int4range",
        3904,
        3905,
        -1,
        'R',
        false,
    ),
    (
        SqlType::Range(RangeKind::Num),
        "numrange",
        3906,
        3907,
        -1,
        'R',
        false,
    ),
    (
        SqlType::Range(RangeKind::Ts),
        "tsrange",
        3908,
        3909,
        -1,
        'R',
        false,
    ),
    (
        SqlType::Range(RangeKind::Tstz),
        "tstzrange",
        3910,
        3911,
        -1,
        'R',
        false,
    ),
    (
        SqlType::Range(RangeKind::Date),
        "daterange",
        3912,
        3913,
        -1,
        'R',
        false,
    ),
    (
        SqlType::Range(RangeKind::Int8),
        "int8range",
        3926,
        3927,
        -1,
        'R',
        false,
    ),
    (SqlType::AnyRange, "anyrange", 3831, 0, -1, 'P', false),
    (SqlType::Uuid, "uuid", 2950, 2951, 16, 'U', false),
    (
        SqlType::Reg(RegKind::Config),
        "regconfig",
        3734,
        3735,
        4,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Dictionary),
        "regdictionary",
        3769,
        3770,
        4,
        'N',
        false,
    ),
    (SqlType::Jsonb, "jsonb", 3802, 3807, -1, 'U', false),
    (SqlType::Jsonpath, "jsonpath", 4072, 4073, -1, 'U', false),
    (
        SqlType::Reg(RegKind::Namespace),
        "regnamespace",
        4089,
        4090,
        4,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Role),
        "regrole",
        4096,
        4097,
        4,
        'N',
        false,
    ),
    (
        SqlType::Reg(RegKind::Collation),
        "regcollation",
        4191,
        4192,
        4,
        'N',
        false,
    ),
    (
        SqlType::AnyCompatible,
        "anycompatible",
        5077,
        0,
        4,
        'P',
        false,
    ),
    (
        SqlType::AnyCompatibleArray,
        "anycompatiblearray",
        5078,
        0,
        -1,
        'P',
        false,
    ),
];

type Entry = (SqlType, &'static str, u32, u32, i16, char, bool);

impl SqlType {
    fn entry(&self) -> Option<&'static Entry> {
        let plain = self.without_typmod();
        TABLE.iter().find(|entry| entry.0 == plain)
    }

    /// Every type there is, without modifiers and arrays, by oid.
    pub fn all() -> impl Iterator<Item = &'static SqlType> {
        TABLE.iter().map(|entry| &entry.0)
    }

    /// The type without its length, precision and scale.
    #[must_use]
    pub fn without_typmod(&self) -> Self {
        match self {
            Self::Numeric(_) => Self::Numeric(None),
            Self::Varchar(_) => Self::Varchar(None),
            Self::Char(_) => Self::Char(None),
            Self::Time(_) => Self::Time(None),
            Self::Timetz(_) => Self::Timetz(None),
            Self::Timestamp(_) => Self::Timestamp(None),
            Self::Timestamptz(_) => Self::Timestamptz(None),
            Self::Interval(_) => Self::Interval(None),
            Self::Array(element) => Self::Array(Box::new(element.without_typmod())),
            other => other.clone(),
        }
    }

    /// PostgreSQL's number for it.
    #[must_use]
    pub fn oid(&self) -> u32 {
        match self {
            Self::Array(element) => element.array_oid(),
            Self::User(user) => user.oid,
            other => other.entry().map_or(0, |entry| entry.2),
        }
    }

    /// The number of its array type; 0 for a type that has none.
    #[must_use]
    pub fn array_oid(&self) -> u32 {
        match self {
            Self::User(user) => user.array,
            other => other.entry().map_or(0, |entry| entry.3),
        }
    }

    /// The type of a number; arrays too.
    #[must_use]
    pub fn from_oid(oid: u32) -> Option<Self> {
        if oid == 0 {
            return None;
        }
        TABLE.iter().find_map(|entry| {
            if entry.2 == oid {
                Some(entry.0.clone())
            } else if entry.3 == oid {
                Some(Self::Array(Box::new(entry.0.clone())))
            } else {
                None
            }
        })
    }

    /// PostgreSQL's encoding of the modifier; -1 for none.
    #[must_use]
    pub fn typmod(&self) -> i32 {
        match self {
            Self::Numeric(Some((precision, scale))) => {
                ((i32::from(*precision) << 16) | (i32::from(*scale) & 0x7ff)) + 4
            }
            Self::Varchar(Some(n)) | Self::Char(Some(n)) => {
                i32::try_from(*n).map_or(-1, |n| n.saturating_add(4))
            }
            Self::Time(Some(digits))
            | Self::Timetz(Some(digits))
            | Self::Timestamp(Some(digits))
            | Self::Timestamptz(Some(digits)) => i32::from(*digits),
            Self::Interval(Some(limit)) => limit.typmod(),
            Self::Array(element) => element.typmod(),
            _ => -1,
        }
    }

    /// The same type with PostgreSQL's encoding of a modifier.
    #[must_use]
    pub fn with_typmod(&self, typmod: i32) -> Self {
        let digits = u8::try_from(typmod)
            .ok()
            .map(|digits| digits.min(DIGITS_MAX));
        let bare = typmod.saturating_sub(4);
        match self {
            Self::Time(_) => Self::Time(digits),
            Self::Timetz(_) => Self::Timetz(digits),
            Self::Timestamp(_) => Self::Timestamp(digits),
            Self::Timestamptz(_) => Self::Timestamptz(digits),
            Self::Interval(_) => Self::Interval(IntervalLimit::of_typmod(typmod)),
            Self::Array(element) => Self::Array(Box::new(element.with_typmod(typmod))),
            _ if bare < 0 => self.without_typmod(),
            Self::Numeric(_) => {
                let precision = u8::try_from((bare >> 16) & 0xffff).ok();
                let scale = i8::try_from(((bare & 0x7ff) ^ 1024) - 1024).ok();
                Self::Numeric(precision.zip(scale))
            }
            Self::Varchar(_) => Self::Varchar(u32::try_from(bare).ok()),
            Self::Char(_) => Self::Char(u32::try_from(bare).ok()),
            other => other.clone(),
        }
    }

    /// `pg_type.typlen`: bytes of a fixed-size value, or -1.
    #[must_use]
    pub fn typlen(&self) -> i16 {
        match self {
            Self::Array(_) => -1,
            Self::User(user) if user.labels().is_some() => 4,
            Self::User(user) if user.domain_base().is_some() => self.base().typlen(),
            other => other.entry().map_or(-1, |entry| entry.4),
        }
    }

    /// `pg_type.typcategory`.
    #[must_use]
    pub fn category(&self) -> char {
        match self {
            Self::Array(_) => 'A',
            Self::User(user) => match &user.kind {
                UserKind::Enum(_) => 'E',
                UserKind::Composite(_) => 'C',
                UserKind::Domain(base) => base.category(),
            },
            other => other.entry().map_or('U', |entry| entry.5),
        }
    }

    /// Whether its category prefers it.
    #[must_use]
    pub fn preferred(&self) -> bool {
        self.entry().is_some_and(|entry| entry.6)
    }

    /// `pg_type.typname`: `int4`, `_int4`, `timestamptz` …
    #[must_use]
    pub fn typname(&self) -> String {
        match self {
            Self::Array(element) => format!("_{}", element.typname()),
            Self::User(user) => user.name.clone(),
            Self::Named(name) => name.name.clone(),
            other => other.entry().map_or("unknown", |entry| entry.1).to_owned(),
        }
    }

    /// The SQL name, as `format_type` writes it: `timestamp with time zone`, `numeric(20,8)`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Bool => "boolean".into(),
            Self::Int2 => "smallint".into(),
            Self::Int4 => "integer".into(),
            Self::Int8 => "bigint".into(),
            Self::Float4 => "real".into(),
            Self::Float8 => "double precision".into(),
            Self::Numeric(Some((precision, scale))) => format!("numeric({precision},{scale})"),
            Self::Varchar(Some(n)) => format!("character varying({n})"),
            Self::Varchar(None) => "character varying".into(),
            Self::Char(Some(n)) => format!("character({n})"),
            Self::Char(None) => "character".into(),
            Self::InternalChar => "\"char\"".into(),
            Self::Time(digits) => of_digits("time", *digits, "without time zone"),
            Self::Timetz(digits) => of_digits("time", *digits, "with time zone"),
            Self::Timestamp(digits) => of_digits("timestamp", *digits, "without time zone"),
            Self::Timestamptz(digits) => of_digits("timestamp", *digits, "with time zone"),
            Self::Interval(Some(limit)) => format!("interval{}", limit.shown()),
            Self::Any => "\"any\"".into(),
            Self::Array(element) => format!("{}[]", element.name()),
            Self::User(user) => user.shown(),
            other => other.typname(),
        }
    }

    /// The type of a name, in any of PostgreSQL's spellings, with modifiers and `[]`.
    ///
    /// None for a name that is no type; a modifier out of range is ignored here and refused by
    /// whoever reads the declaration.
    #[must_use]
    pub fn parse_name(name: &str) -> Option<Self> {
        let name = name.trim();
        if let Some(element) = name.strip_suffix(']') {
            let open = element.rfind('[')?;
            // Dimensions are no part of a type.
            let element = Self::parse_name(element.get(..open)?)?;
            return Some(match element {
                Self::Array(_) => element,
                element => element.array_of(),
            });
        }
        let lower = name.to_lowercase();
        let lower = lower
            .strip_prefix("pg_catalog.")
            .unwrap_or(&lower)
            .to_owned();
        let (base, modifier, rest) = match (lower.find('('), lower.find(')')) {
            (Some(open), Some(close)) if open < close => (
                lower.get(..open)?.trim().to_owned(),
                lower.get(open + 1..close)?.to_owned(),
                lower.get(close + 1..)?.trim().to_owned(),
            ),
            _ => (lower.clone(), String::new(), String::new()),
        };
        let words = format!("{base} {rest}");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut numbers = modifier
            .split(',')
            .map_while(|part| part.trim().parse::<i64>().ok());
        let first = numbers.next();
        let second = numbers.next();
        let digits = first.map(|digits| u8::try_from(digits).unwrap_or(DIGITS_MAX).min(DIGITS_MAX));
        if let Some(fields) = words.strip_prefix("interval") {
            let fields = IntervalFields::named(fields.trim_start())?;
            return Some(Self::Interval(IntervalLimit::of(fields, digits)));
        }
        Some(match words.as_str() {
            "boolean" => Self::Bool,
            "smallint" => Self::Int2,
            "integer" | "int" => Self::Int4,
            "bigint" => Self::Int8,
            "real" => Self::Float4,
            "double precision" => Self::Float8,
            "float" => match first {
                Some(1..=24) => Self::Float4,
                _ => Self::Float8,
            },
            "numeric" | "decimal" | "dec" => Self::Numeric(first.and_then(|precision| {
                Some((
                    u8::try_from(precision).ok()?,
                    i8::try_from(second.unwrap_or(0)).ok()?,
                ))
            })),
            "varchar" | "character varying" | "char varying" => {
                Self::Varchar(first.and_then(|n| u32::try_from(n).ok()))
            }
            "char" | "character" => {
                Self::Char(Some(first.and_then(|n| u32::try_from(n).ok()).unwrap_or(1)))
            }
            // Where a row lies is told as text.
            "tid" => Self::Text,
            "bpchar" => Self::Char(first.and_then(|n| u32::try_from(n).ok())),
            "\"char\"" => Self::InternalChar,
            "time" | "time without time zone" => Self::Time(digits),
            "timetz" | "time with time zone" => Self::Timetz(digits),
            "timestamp" | "timestamp without time zone" => Self::Timestamp(digits),
            "timestamptz" | "timestamp with time zone" => Self::Timestamptz(digits),
            "\"any\"" => Self::Any,
            other => {
                let other = other
                    .strip_prefix('"')
                    .and_then(|s| s.strip_suffix('"'))
                    .unwrap_or(other);
                if let Some(element) = other.strip_prefix('_') {
                    let entry = TABLE.iter().find(|entry| entry.1 == element)?;
                    return Some(Self::array_of(entry.0.clone()));
                }
                TABLE.iter().find(|entry| entry.1 == other)?.0.clone()
            }
        })
    }

    /// The array of it.
    #[must_use]
    pub fn array_of(self) -> Self {
        Self::Array(Box::new(self))
    }

    /// The type of an array's items, of a domain that of its values.
    #[must_use]
    pub fn element(&self) -> Option<&Self> {
        match self {
            Self::Array(element) => Some(element.base()),
            _ => None,
        }
    }

    /// The type of a domain's values, or the type itself.
    #[must_use]
    pub fn base(&self) -> &Self {
        match self {
            Self::User(user) => user.domain_base().unwrap_or(self),
            _ => self,
        }
    }

    /// The type that has the same values without asking anything of them: arrays of a domain
    /// become those of its base. Rows keep their type, which has fields of its own.
    #[must_use]
    pub fn plain(&self) -> Self {
        match self.base() {
            Self::Array(element) => element.plain().array_of(),
            other => other.clone(),
        }
    }

    /// Whether it is a domain or an array of one: whether [`Self::plain`] is another type.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        match self {
            Self::Array(element) => element.is_restricted(),
            Self::User(user) => user.domain_base().is_some(),
            _ => false,
        }
    }

    /// Whether a domain asks something of its values, or of what is within them.
    #[must_use]
    pub fn demands(&self) -> bool {
        match self {
            Self::Array(element) => element.demands(),
            Self::User(user) => {
                let fields = user.fields().unwrap_or_default();
                user.domain_base().is_some() || fields.iter().any(|(_, field)| field.demands())
            }
            _ => false,
        }
    }

    /// Whether it is, or is made of, the type of a user with an oid.
    #[must_use]
    pub fn mentions(&self, oid: u32) -> bool {
        match self {
            Self::Array(element) => element.mentions(oid),
            Self::User(user) => {
                let fields = user.fields().unwrap_or_default();
                user.oid == oid
                    || user.domain_base().is_some_and(|base| base.mentions(oid))
                    || fields.iter().any(|(_, field)| field.mentions(oid))
            }
            _ => false,
        }
    }

    /// The same, knowing a type of a user as it is now.
    #[must_use]
    pub fn renewed(&self, user: &Arc<UserType>) -> Self {
        match self {
            Self::Array(element) => element.renewed(user).array_of(),
            Self::User(known) if known.oid == user.oid => Self::User(Arc::clone(user)),
            Self::User(known) if self.mentions(user.oid) => {
                let mut known = UserType::clone(known);
                match &mut known.kind {
                    UserKind::Composite(fields) => {
                        for (_, field) in fields {
                            *field = field.renewed(user);
                        }
                    }
                    UserKind::Domain(base) => *base = base.renewed(user),
                    UserKind::Enum(_) => {}
                }
                Self::User(Arc::new(known))
            }
            other => other.clone(),
        }
    }

    /// The labels of an enum, the least first.
    #[must_use]
    pub fn labels(&self) -> Option<&[String]> {
        match self.base() {
            Self::User(user) => user.labels(),
            _ => None,
        }
    }

    /// The fields of a composite type.
    #[must_use]
    pub fn fields(&self) -> Option<&[(String, SqlType)]> {
        match self.base() {
            Self::User(user) => user.fields(),
            _ => None,
        }
    }

    /// Whether its values are text in memory.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(
            self.base(),
            Self::Text | Self::Varchar(_) | Self::Char(_) | Self::Name | Self::Unknown
        )
    }

    /// Whether it only stands for other types in the tables of functions.
    #[must_use]
    pub fn is_pseudo(&self) -> bool {
        self.category() == 'P'
    }

    /// The Arrow type its columns are kept in.
    ///
    /// Plain numeric is [`NUMERIC_ANY`]: `unscaled * 64 + display scale`, the unscaled value having
    /// [`NUMERIC_ANY_SCALE`] fraction digits, so that values order as integers.
    #[must_use]
    pub fn arrow(&self) -> DataType {
        match self.base() {
            Self::Bool => DataType::Boolean,
            Self::Int2 => DataType::Int16,
            Self::Int4 => DataType::Int32,
            Self::Int8 => DataType::Int64,
            Self::Float4 => DataType::Float32,
            Self::Float8 => DataType::Float64,
            Self::Numeric(Some((precision, scale)))
                if *precision <= 38 && *scale >= 0 && *scale <= 38 =>
            {
                // Arrow wants the scale within the precision; numeric(2,4) holds 0.0012.
                DataType::Decimal128((*precision).max(scale.unsigned_abs()), *scale)
            }
            Self::Numeric(_) => NUMERIC_ANY,
            packed if is_packed(packed) => DataType::BinaryView,
            Self::Date => DataType::Date32,
            Self::Time(_) => DataType::Time64(TimeUnit::Microsecond),
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, None),
            Self::Timestamptz(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Interval(_) => DataType::Interval(IntervalUnit::MonthDayNano),
            Self::Uuid => DataType::FixedSizeBinary(16),
            Self::Oid | Self::Xid | Self::Reg(_) => DataType::UInt32,
            Self::Array(element) => {
                DataType::List(Arc::new(Field::new("item", element.arrow(), true)))
            }
            Self::Int2Vector => DataType::List(Arc::new(Field::new("item", DataType::Int16, true))),
            Self::OidVector => DataType::List(Arc::new(Field::new("item", DataType::UInt32, true))),
            Self::Void => DataType::Null,
            _ => DataType::Utf8View,
        }
    }
}

fn of_digits(name: &str, digits: Option<u8>, zone: &str) -> String {
    match digits {
        Some(digits) => format!("{name}({digits}) {zone}"),
        None => format!("{name} {zone}"),
    }
}

impl fmt::Display for SqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_oid_and_by_its_names() {
        for ty in SqlType::all() {
            assert_eq!(SqlType::from_oid(ty.oid()).as_ref(), Some(ty));
            if ty.array_oid() != 0 {
                let array = ty.clone().array_of();
                assert_eq!(SqlType::from_oid(array.oid()), Some(array.clone()));
                assert_eq!(
                    SqlType::parse_name(&array.typname()),
                    Some(array),
                    "{}",
                    ty.typname()
                );
            }
            // A bare `char` is char(1); its catalog name means the blank-padded type.
            if !matches!(ty, SqlType::Char(_) | SqlType::InternalChar) {
                assert_eq!(SqlType::parse_name(&ty.name()).as_ref(), Some(ty));
            }
        }
    }

    #[test]
    fn modifiers_are_encoded_as_postgresql_encodes_them() {
        let numeric = SqlType::Numeric(Some((20, 8)));
        assert_eq!(numeric.typmod(), 1_310_732);
        assert_eq!(SqlType::Numeric(None).with_typmod(1_310_732), numeric);
        assert_eq!(SqlType::Varchar(Some(10)).typmod(), 14);
        assert_eq!(SqlType::parse_name("NUMERIC(20, 8)"), Some(numeric));
        assert_eq!(
            SqlType::parse_name("timestamp(3) with time zone"),
            Some(SqlType::Timestamptz(Some(3)))
        );
        assert_eq!(
            SqlType::parse_name("character varying(20)[]"),
            Some(SqlType::Varchar(Some(20)).array_of())
        );
        assert_eq!(SqlType::parse_name("nosuchtype"), None);
    }
}
