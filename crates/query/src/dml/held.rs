//! What rows are held against while they change: row-level security, and the views that they are
//! written through.

use arrow::record_batch::RecordBatch;
use chronolith_types::SqlState;

use super::over::Maker;
use super::rows::{columns, locators, of_table};
use super::run::{Changing, Run};
use crate::bind::{Broken, Change, Subject};
use crate::error::Error;
use crate::insert::Checks;
use crate::session::blocking_for;

/// What rows are held against, ready to run.
pub(super) struct Held {
    subject: Subject,
    broken: Broken,
    maker: Maker,
}

impl Held {
    pub(super) fn of(run: &Run<'_>, change: &Change) -> Result<Vec<Self>, Error> {
        let held = change.held.iter();
        held.map(|held| {
            Ok(Self {
                subject: held.subject,
                broken: held.broken.clone(),
                maker: Maker::new(run, &held.over, run.params)?,
            })
        })
        .collect()
    }

    /// What it says against one of some rows of its kind.
    pub(super) async fn against(
        &self,
        run: &Run<'_>,
        checks: &Checks,
        rows: &RecordBatch,
    ) -> Result<Option<Error>, Error> {
        let missed = self
            .maker
            .make(run, rows.columns().to_vec(), rows.num_rows());
        let missed = missed.await?;
        Ok((missed.num_rows() > 0).then(|| match &self.broken {
            Broken::View(view) => checks.not_shown(view, &missed.slice(0, 1)),
            Broken::Policy { table, policy } => refused(self.subject, table, policy.as_deref()),
        }))
    }
}

impl Changing<'_> {
    /// Whether row-level security says anything of some rows.
    pub(super) fn asks_of(&self, subject: Subject) -> bool {
        self.held.iter().any(|held| held.subject == subject)
    }
}

impl Run<'_> {
    /// What row-level security says against rows.
    async fn against(
        &self,
        changing: &Changing<'_>,
        rows: &RecordBatch,
        subject: Subject,
    ) -> Result<Option<Error>, Error> {
        if rows.num_rows() == 0 {
            return Ok(None);
        }
        for held in changing.held.iter().filter(|held| held.subject == subject) {
            let error = held.against(self, &changing.checks, rows).await?;
            if error.is_some() {
                return Ok(error);
            }
        }
        Ok(None)
    }

    /// Holds rows that are to be inserted against row-level security.
    ///
    /// # Errors
    /// 42501
    pub(super) async fn permitted(
        &self,
        changing: &Changing<'_>,
        rows: &RecordBatch,
    ) -> Result<(), Error> {
        match self.against(changing, rows, Subject::Inserted).await? {
            None => Ok(()),
            Some(error) => Err(error),
        }
    }

    /// Holds rows that are there, or what is made of them, against row-level security; false where it
    /// refuses one. The statement then ends once its rows are locked: they may be others by then.
    pub(super) async fn allowed(
        &self,
        changing: &mut Changing<'_>,
        rows: &RecordBatch,
        subject: Subject,
    ) -> Result<bool, Error> {
        changing.denied = self.against(changing, rows, subject).await?;
        Ok(changing.denied.is_none())
    }

    /// The same for rows of the table's view, which are read when anything is asked of them.
    pub(super) async fn allowed_at(
        &self,
        changing: &mut Changing<'_>,
        batch: &RecordBatch,
        subject: Subject,
    ) -> Result<bool, Error> {
        if !changing.asks_of(subject) {
            return Ok(true);
        }
        let places: Vec<i128> = locators(batch)?.iter().flatten().collect();
        let width = changing.table.columns.len();
        let all: Vec<usize> = (0..width).collect();
        let found = blocking_for(places.len(), || changing.view.rows_at(&all, &places))?;
        let rows = found.num_rows();
        let old = of_table(&changing.table, columns(&found, 0..width), rows)?;
        self.allowed(changing, &old, subject).await
    }

    /// Holds new rows against the views that they are written through.
    pub(super) async fn shown(
        &self,
        changing: &mut Changing<'_>,
        new: &RecordBatch,
    ) -> Result<(), Error> {
        if changing.refused.is_none() {
            changing.refused = self.against(changing, new, Subject::New).await?;
        }
        Ok(())
    }
}

/// 42501 for a row that row-level security refuses.
fn refused(subject: Subject, table: &str, policy: Option<&str>) -> Error {
    let row = match subject {
        Subject::ToUpdate | Subject::ToDelete => "target row",
        Subject::New | Subject::Inserted | Subject::Updated | Subject::Met => "new row",
    };
    let policy = policy.map_or(String::new(), |name| format!(" \"{name}\""));
    let using = match subject {
        Subject::Met | Subject::ToUpdate | Subject::ToDelete => " (USING expression)",
        Subject::New | Subject::Inserted | Subject::Updated => "",
    };
    Error::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("{row} violates row-level security policy{policy}{using} for table \"{table}\""),
    )
}
