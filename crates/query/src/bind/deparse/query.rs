//! What is shown of a query.

use super::shown::{Shown, Sorted, Window};

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Query {
    pub recursive: bool,
    pub with: Vec<With>,
    pub body: Body,
    pub order: Vec<Sorted>,
    pub offset: Option<Shown>,
    pub limit: Option<Shown>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct With {
    pub name: String,
    pub columns: Vec<String>,
    pub marks: &'static str,
    pub query: Query,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Select(Box<Select>),
    Values(Vec<Vec<Shown>>),
    Set(Box<Set>),
}

/// Queries put together: what each arm is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Arm {
    Query(Query),
    Set(Box<Set>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Set {
    pub word: &'static str,
    pub all: bool,
    pub left: Arm,
    pub right: Arm,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Select {
    pub distinct: Option<Vec<Shown>>,
    pub targets: Vec<Target>,
    pub from: Vec<From>,
    pub filter: Option<Shown>,
    pub group_distinct: bool,
    pub group: Vec<Group>,
    pub having: Option<Shown>,
    pub windows: Vec<(String, Window)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    pub value: Shown,
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Group {
    Key(Shown),
    /// Keys in parentheses; none of them is `()`.
    Keys(Vec<Shown>),
    /// `ROLLUP`, `CUBE` or `GROUPING SETS`.
    Of(&'static str, Vec<Vec<Shown>>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct From {
    pub lateral: bool,
    pub what: Item,
    /// The alias and its columns, as far as they are shown.
    pub alias: Option<String>,
    pub columns: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// A relation by its name.
    Relation(String),
    Query(Query),
    Function {
        calls: Vec<Shown>,
        ordinality: bool,
    },
    Join(Box<Join>),
    Values(Vec<Vec<Shown>>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Join {
    pub left: From,
    pub words: &'static str,
    pub right: From,
    pub using: Vec<String>,
    pub on: Option<Shown>,
    /// Whether rows of a side stay without any beside them.
    pub outer: bool,
}

impl Query {
    /// Whether it stands in parentheses as an arm of a set operation.
    pub(super) fn is_more(&self) -> bool {
        !self.with.is_empty()
            || !self.order.is_empty()
            || self.offset.is_some()
            || self.limit.is_some()
    }
}

impl Set {
    /// Looks at every query that is put together.
    pub(super) fn arms(&mut self, look: &mut dyn FnMut(&mut Query)) {
        for arm in [&mut self.left, &mut self.right] {
            match arm {
                Arm::Query(query) => look(query),
                Arm::Set(set) => set.arms(look),
            }
        }
    }
}

/// VALUES whose columns have other names than their own.
pub(super) fn named_values(rows: Vec<Vec<Shown>>, columns: &[String]) -> Query {
    const ALIAS: &str = "*VALUES*";
    let target = |(number, name): (usize, &String)| Target {
        value: Shown::Column(Some(ALIAS.to_owned()), format!("column{number}")),
        name: name.clone(),
    };
    Query {
        recursive: false,
        with: Vec::new(),
        body: Body::Select(Box::new(Select {
            distinct: None,
            targets: (1..).zip(columns).map(target).collect(),
            from: vec![From {
                lateral: false,
                what: Item::Values(rows),
                alias: Some(ALIAS.to_owned()),
                columns: Vec::new(),
            }],
            filter: None,
            group_distinct: false,
            group: Vec::new(),
            having: None,
            windows: Vec::new(),
        })),
        order: Vec::new(),
        offset: None,
        limit: None,
    }
}
