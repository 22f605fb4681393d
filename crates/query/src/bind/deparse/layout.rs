//! Queries over lines: what `ruleutils.c` breaks where, and how far it moves it to the right.

use super::query::{Arm, Body, From, Group, Item, Join, Query, Select, Set};
use super::shown::Shown;
use crate::catalogs::quoted;

/// How far a clause's keyword stands to the right of its query.
const STEP: isize = 8;
const JOIN: usize = 4;
const ITEM: usize = 4;
/// Nested queries move no further than this.
const LIMIT: usize = 40;

pub(super) struct Writer {
    pub out: String,
    /// Without parentheses that nobody needs.
    pub pretty: bool,
    /// Where lists are broken: after each of their items at 0, nowhere at None.
    wrap: Option<usize>,
    level: isize,
}

impl Writer {
    pub(super) fn new(pretty: bool, wrap: Option<usize>) -> Self {
        Self {
            out: String::new(),
            pretty,
            wrap,
            level: 0,
        }
    }

    pub(super) fn finish(self) -> String {
        self.out
    }

    /// `appendContextKeyword`: a new line with a word.
    pub(super) fn keyword(&mut self, word: &str, before: isize, after: isize, plus: usize) {
        self.level += before;
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
        self.out.push('\n');
        let level = usize::try_from(self.level).unwrap_or(0);
        let indent = if level < LIMIT {
            level + plus
        } else {
            (LIMIT + (level - LIMIT) / 4) % LIMIT + plus
        };
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.out.push_str(word);
        self.level = (self.level + after).max(0);
    }

    /// A query within another.
    pub(super) fn nested(&mut self, query: &Query, named: bool) {
        let level = self.level;
        self.query(query, named);
        self.level = level;
    }

    /// `named`: whether the names of its columns count.
    pub(super) fn query(&mut self, query: &Query, named: bool) {
        self.with(query);
        match &query.body {
            Body::Set(set) => self.set(set, named),
            Body::Select(select) => {
                self.level += STEP;
                self.out.push(' ');
                self.select(select, named);
            }
            Body::Values(rows) => {
                self.level += STEP;
                self.out.push(' ');
                self.rows(rows);
            }
        }
        if !query.order.is_empty() {
            self.keyword(" ORDER BY ", -STEP, STEP, 1);
            self.order(&query.order);
        }
        if let Some(offset) = &query.offset {
            self.keyword(" OFFSET ", -STEP, STEP, 0);
            self.value(offset);
        }
        if let Some(limit) = &query.limit {
            self.keyword(" LIMIT ", -STEP, STEP, 0);
            self.value(limit);
        }
    }

    fn with(&mut self, query: &Query) {
        if query.with.is_empty() {
            return;
        }
        self.level += STEP;
        self.out.push(' ');
        for (place, with) in query.with.iter().enumerate() {
            self.out.push_str(match (place, query.recursive) {
                (0, true) => "WITH RECURSIVE ",
                (0, false) => "WITH ",
                _ => ", ",
            });
            self.out.push_str(&quoted(&with.name));
            self.names(&with.columns);
            self.out.push_str(" AS ");
            self.out.push_str(with.marks);
            self.out.push('(');
            self.keyword("", 0, 0, 0);
            self.nested(&with.query, true);
            self.keyword("", 0, 0, 0);
            self.out.push(')');
        }
        self.level -= STEP;
        self.keyword("", 0, 0, 0);
    }

    fn names(&mut self, names: &[String]) {
        if names.is_empty() {
            return;
        }
        let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
        self.out.push('(');
        self.out.push_str(&names.join(", "));
        self.out.push(')');
    }

    fn rows(&mut self, rows: &[Vec<Shown>]) {
        self.out.push_str("VALUES ");
        for (place, row) in rows.iter().enumerate() {
            self.out.push_str(if place > 0 { ", (" } else { "(" });
            for (place, cell) in row.iter().enumerate() {
                if place > 0 {
                    self.out.push(',');
                }
                self.value(cell);
            }
            self.out.push(')');
        }
    }

    fn set(&mut self, set: &Set, named: bool) {
        let wrapped = match &set.left {
            Arm::Set(left) => left.word != set.word || left.all != set.all,
            Arm::Query(_) => false,
        };
        if wrapped {
            self.out.push('(');
            self.keyword("", STEP, 0, 0);
        }
        self.arm(&set.left, named);
        if wrapped {
            self.keyword(") ", -STEP, 0, 0);
        } else {
            self.keyword("", 0, 0, 0);
        }
        self.out.push_str(set.word);
        self.out.push(' ');
        if set.all {
            self.out.push_str("ALL ");
        }
        let wrapped = matches!(set.right, Arm::Set(_));
        let deeper = if wrapped { STEP } else { 0 };
        if wrapped {
            self.out.push('(');
        }
        self.keyword("", deeper, 0, 0);
        self.arm(&set.right, false);
        self.level -= deeper;
        if wrapped {
            self.keyword(")", 0, 0, 0);
        }
    }

    fn arm(&mut self, arm: &Arm, named: bool) {
        match arm {
            Arm::Set(set) => self.set(set, named),
            Arm::Query(query) => {
                let wrapped = query.is_more();
                if wrapped {
                    self.out.push('(');
                }
                self.nested(query, named);
                if wrapped {
                    self.out.push(')');
                }
            }
        }
    }

    fn select(&mut self, select: &Select, named: bool) {
        self.out.push_str("SELECT");
        match &select.distinct {
            None => {}
            Some(on) if on.is_empty() => self.out.push_str(" DISTINCT"),
            Some(on) => {
                self.out.push_str(" DISTINCT ON (");
                self.keys(on);
                self.out.push(')');
            }
        }
        self.targets(select, named);
        for (place, item) in select.from.iter().enumerate() {
            if place == 0 {
                self.keyword(" FROM ", -STEP, STEP, 2);
                self.from(item);
                continue;
            }
            self.out.push_str(", ");
            let text = self.apart(|writer| writer.from(item));
            if let Some(wrap) = self.wrap {
                if text.starts_with('\n') {
                    self.trim();
                } else if self.line() + text.len() > wrap {
                    self.keyword("", -STEP, STEP, ITEM);
                }
            }
            self.out.push_str(&text);
        }
        if let Some(filter) = &select.filter {
            self.keyword(" WHERE ", -STEP, STEP, 1);
            self.value(filter);
        }
        if !select.group.is_empty() {
            self.keyword(" GROUP BY ", -STEP, STEP, 1);
            if select.group_distinct {
                self.out.push_str("DISTINCT ");
            }
            for (place, group) in select.group.iter().enumerate() {
                if place > 0 {
                    self.out.push_str(", ");
                }
                self.group(group);
            }
        }
        if let Some(having) = &select.having {
            self.keyword(" HAVING ", -STEP, STEP, 0);
            self.value(having);
        }
        for (place, (name, window)) in select.windows.iter().enumerate() {
            if place == 0 {
                self.keyword(" WINDOW ", -STEP, STEP, 1);
            } else {
                self.out.push_str(", ");
            }
            self.out.push_str(&quoted(name));
            self.out.push_str(" AS ");
            self.window(window);
        }
    }

    fn targets(&mut self, select: &Select, named: bool) {
        let mut lines = false;
        for (place, target) in select.targets.iter().enumerate() {
            self.out.push_str(if place > 0 { ", " } else { " " });
            let text = self.apart(|writer| {
                writer.value(&target.value);
                let known = match target.value.natural_name() {
                    Some(name) => Some(name),
                    None if named => None,
                    None => Some("?column?"),
                };
                if known != Some(target.name.as_str()) {
                    writer.out.push_str(" AS ");
                    writer.out.push_str(&quoted(&target.name));
                }
            });
            if let Some(wrap) = self.wrap {
                if text.starts_with('\n') {
                    self.trim();
                } else if place > 0 && (self.line() + text.len() > wrap || lines) {
                    self.keyword("", -STEP, STEP, ITEM);
                }
                lines = text.trim_start_matches('\n').contains('\n');
            }
            self.out.push_str(&text);
        }
    }

    fn group(&mut self, group: &Group) {
        match group {
            Group::Key(key) => self.key(key),
            Group::Keys(keys) => self.set_of(keys),
            Group::Of(word, sets) => {
                self.out.push_str(word);
                self.out.push('(');
                for (place, set) in sets.iter().enumerate() {
                    if place > 0 {
                        self.out.push_str(", ");
                    }
                    match set.as_slice() {
                        [one] if *word != "GROUPING SETS " => self.key(one),
                        keys => self.set_of(keys),
                    }
                }
                self.out.push(')');
            }
        }
    }

    fn set_of(&mut self, keys: &[Shown]) {
        self.out.push('(');
        self.keys(keys);
        self.out.push(')');
    }

    fn from(&mut self, from: &From) {
        if from.lateral {
            self.out.push_str("LATERAL ");
        }
        match &from.what {
            Item::Relation(name) => self.out.push_str(name),
            Item::Query(query) => {
                self.out.push('(');
                self.nested(query, true);
                self.out.push(')');
            }
            Item::Function { calls, ordinality } => {
                match calls.as_slice() {
                    [one] => self.value(one),
                    several => {
                        // All are `unnest(…)`, which takes several lists.
                        self.out.push_str("UNNEST(");
                        let lists = several.iter().flat_map(|call| match call {
                            Shown::Call(_, args) => args.clone(),
                            other => vec![other.clone()],
                        });
                        let lists: Vec<_> = lists.collect();
                        self.listed(&lists);
                        self.out.push(')');
                    }
                }
                if *ordinality {
                    self.out.push_str(" WITH ORDINALITY");
                }
            }
            Item::Values(rows) => {
                self.out.push('(');
                self.rows(rows);
                self.out.push(')');
            }
            Item::Join(join) => {
                let wrapped = !self.pretty || from.alias.is_some();
                if wrapped {
                    self.out.push('(');
                }
                self.join(join);
                if wrapped {
                    self.out.push(')');
                }
            }
        }
        if let Some(alias) = &from.alias {
            self.out.push(' ');
            self.out.push_str(&quoted(alias));
        }
        self.names(&from.columns);
    }

    fn join(&mut self, join: &Join) {
        self.from(&join.left);
        self.keyword(join.words, -STEP, STEP, JOIN);
        let wrapped =
            self.pretty && matches!(join.right.what, Item::Join(_)) && join.right.alias.is_none();
        if wrapped {
            self.out.push('(');
        }
        self.from(&join.right);
        if wrapped {
            self.out.push(')');
        }
        if !join.using.is_empty() {
            self.out.push_str(" USING ");
            self.names(&join.using);
        } else if let Some(on) = &join.on {
            self.out.push_str(" ON ");
            if !self.pretty {
                self.out.push('(');
            }
            self.value(on);
            if !self.pretty {
                self.out.push(')');
            }
        } else if join.outer {
            self.out.push_str(" ON TRUE");
        }
    }

    /// What is written, instead of writing it.
    fn apart(&mut self, write: impl FnOnce(&mut Self)) -> String {
        let before = std::mem::take(&mut self.out);
        write(self);
        std::mem::replace(&mut self.out, before)
    }

    fn trim(&mut self) {
        let kept = self.out.trim_end_matches(' ').len();
        self.out.truncate(kept);
    }

    /// How long the last line is.
    fn line(&self) -> usize {
        match self.out.rfind('\n') {
            Some(at) => self.out.len() - at - 1,
            None => self.out.len(),
        }
    }
}
