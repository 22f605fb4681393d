//! Where a text names one column of a relation, so that the text can follow it to another name.

use std::collections::{BTreeSet, HashSet};

use chronolith_sql::ast::{self, TableAlias};

use super::names::Names;
use super::scope::{Scope, ScopeColumn};
use super::state::{Binder, Result, position};

/// The column that is looked for, and where it was found.
#[derive(Debug)]
pub(super) struct Following {
    relation: u32,
    place: usize,
    name: String,
    /// The internal names that it has where its relation is read, under its own name.
    direct: HashSet<String>,
    /// Where it is named.
    found: BTreeSet<u32>,
    /// Where expressions begin after which columns of an output have its name.
    outputs: BTreeSet<u32>,
    /// Whether it has a part that its name alone does not tell.
    lost: bool,
}

/// Where a query names the column at a place of a relation: the characters at which its name begins,
/// from 1, with what is before it, and those at which expressions begin that an output has the name
/// of. None where it cannot just get another name, as what joins merge.
///
/// # Errors
/// Those of binding the query.
pub(crate) fn named_in(
    names: &dyn Names,
    query: &ast::Query,
    (relation, place, name): (u32, usize, &str),
) -> Result<Option<(Vec<usize>, Vec<usize>)>> {
    let mut binder = Binder::new(names, &[]);
    binder.open_gaps = true;
    binder.following = Some(Following {
        relation,
        place,
        name: name.to_owned(),
        direct: HashSet::new(),
        found: BTreeSet::new(),
        outputs: BTreeSet::new(),
        lost: false,
    });
    binder.query(query, None)?;
    let found = binder.following.filter(|following| !following.lost);
    let places = |all: BTreeSet<u32>| {
        let all = all.into_iter();
        all.filter_map(|at| usize::try_from(at).ok()).collect()
    };
    Ok(found.map(|following| (places(following.found), places(following.outputs))))
}

impl Binder<'_> {
    /// The column that is looked for, where the text is the one that it is looked for in.
    fn followed(&mut self) -> Option<&mut Following> {
        let here = self.views == 0 && self.frames.is_empty() && self.securing.is_empty();
        self.following.as_mut().filter(|_| here)
    }

    /// A relation of FROM, before it has an alias.
    pub(super) fn follow_relation(&mut self, relation: u32, scope: &Scope) {
        if let Some(following) = self.followed()
            && following.relation == relation
            && let Some(column) = scope.columns.get(following.place)
        {
            following.direct.insert(column.column.clone());
        }
    }

    /// An alias that gives the first columns other names.
    pub(super) fn follow_alias(&mut self, columns: &[ScopeColumn], alias: &TableAlias) {
        if let Some(following) = self.followed() {
            for (column, _) in columns.iter().zip(&alias.columns) {
                following.direct.remove(&column.column);
            }
        }
    }

    /// A column that a name was found to be.
    pub(super) fn follow_name(&mut self, internal: &str, at: Option<u32>) {
        if let Some(following) = self.followed()
            && following.direct.contains(internal)
        {
            match at {
                Some(at) => {
                    following.found.insert(at);
                }
                None => following.lost = true,
            }
        }
    }

    /// Two columns that a join merges under the one name that they have.
    pub(super) fn follow_merged(&mut self, sides: [&ScopeColumn; 2]) {
        if let Some(following) = self.followed() {
            let direct = |side: &&ScopeColumn| following.direct.contains(&side.column);
            following.lost |= sides.iter().any(direct);
        }
    }

    /// A column of an output that is called as an expression says.
    pub(super) fn follow_output(&mut self, tree: &ast::Expr, name: &str) {
        let Some(following) = self.followed().filter(|of| of.name == name) else {
            return;
        };
        following.outputs.extend(position(tree));
    }
}
