//! An exclusion constraint, bound.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use chronolith_catalog::{Constraint, ConstraintMarks, Index, Table};
use chronolith_chunk::KeyEncoder;
use chronolith_engine::Refused;
use chronolith_types::{IndexId, RangeKind, SqlState, SqlType};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::super::keyed::Keyed;
use super::narrow::plain_of;
use crate::bind::bind_over;
use crate::error::Error;
use crate::evaluate::{computable, props_of};
use crate::session::{SessionNames, Shared};

/// An exclusion constraint, bound.
pub(crate) struct Exclusion {
    pub(super) constraint: u32,
    pub(super) marks: ConstraintMarks,
    pub(super) index: IndexId,
    pub(super) name: String,
    pub(super) keyed: Keyed,
    /// All keys as bytes.
    pub(super) all: KeyEncoder,
    /// Which keys `=` compares, and those as bytes.
    pub(super) equal: Option<(Vec<usize>, KeyEncoder)>,
    /// A key whose ranges must share something.
    pub(super) shared: Option<(usize, RangeKind)>,
    /// Whether two rows meet: over the keys of one, and then of another.
    pub(super) meet: Arc<dyn PhysicalExpr>,
    pub(super) both: SchemaRef,
    /// The columns that `=` compares as they are: which key, and which column of the table.
    pub(super) plain: Vec<(usize, usize)>,
}

impl std::fmt::Debug for Exclusion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exclusion")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Exclusion {
    pub(in crate::insert) fn of(
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        constraint: &Constraint,
        index: &Index,
    ) -> Result<Self, Error> {
        let keyed = Keyed::of(shared, table, index)?;
        let operators = constraint.kind.operators().unwrap_or_default();
        let names = SessionNames::new(shared)?;
        let mut meets: Option<Expr> = None;
        let mut equal = Vec::new();
        let mut range = None;
        for (place, (operator, ty)) in operators.iter().zip(&keyed.types).enumerate() {
            let (one, other) = (format!("one{place}"), format!("other{place}"));
            let tree = chronolith_sql::expression(&format!("{one} {operator} {other}"))?;
            let sides = [
                (one, ty.clone(), ty.arrow()),
                (other, ty.clone(), ty.arrow()),
            ];
            let typed = bind_over(&names, &tree, "", &sides)?;
            meets = Some(match meets {
                None => typed.expr,
                Some(before) => before.and(typed.expr),
            });
            match (operator.as_str(), ty) {
                ("=", _) => equal.push(place),
                ("&&", SqlType::Range(kind)) => range = range.or(Some((place, *kind))),
                _ => {}
            }
        }
        let meets = meets.ok_or_else(|| Error::internal("an exclusion of nothing"))?;
        let side = |name: &'static str| {
            let forms = keyed.forms.iter().enumerate();
            forms.map(move |(place, form)| Field::new(format!("{name}{place}"), form.clone(), true))
        };
        let fields: Vec<Field> = side("one").chain(side("other")).collect();
        let both = Arc::new(Schema::new(fields));
        let schema = DFSchema::try_from(both.as_ref().clone())?;
        let equal_places = equal.clone();
        let compared = equal.iter().filter_map(|place| keyed.forms.get(*place));
        let compared: Vec<_> = compared.cloned().collect();
        Ok(Self {
            constraint: constraint.id,
            marks: constraint.marks,
            index: index.id,
            name: constraint.name.clone(),
            all: KeyEncoder::of_types(&keyed.forms)?,
            equal: match equal.is_empty() {
                true => None,
                false => Some((equal, KeyEncoder::of_types(&compared)?)),
            },
            shared: range,
            meet: computable(&meets, &schema, &props_of(shared.vars()))?,
            both,
            plain: plain_of(&equal_places, &keyed),
            keyed,
        })
    }

    /// The index that it has.
    pub(crate) fn index(&self) -> IndexId {
        self.index
    }

    /// Whether ON CONFLICT may ask for it.
    pub(crate) fn is_arbiter(&self) -> bool {
        !self.marks.deferrable
    }

    /// What is said of it whatever is wrong.
    pub(super) fn fields(&self) -> Refused {
        Refused {
            sqlstate: SqlState::new(b"23P01"),
            schema: Some(self.keyed.schema.clone()),
            table: Some(self.keyed.table.name.clone()),
            constraint: Some(self.name.clone()),
            ..Refused::default()
        }
    }
}
