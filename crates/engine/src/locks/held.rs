//! The state of all locks: changed under one mutex, by steps that never wait.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_types::TableId;
use hashbrown::{HashMap, HashSet};
use parking_lot::Condvar;
use roaring::RoaringBitmap;

use super::modes::{KeySpace, LockMode, LockTarget, RowMode, RowSpace};
use super::weak::{AllNotes, Note, Strong};

/// Rows of several places: a flush may scatter those of one.
pub(super) type RowSet = BTreeMap<RowSpace, RoaringBitmap>;

/// Rows that were waited for, and how they are locked.
pub(super) type Won = (RowMode, RowSet);

/// Something wanted.
#[derive(Debug, Clone)]
pub(super) enum What {
    Object {
        target: LockTarget,
        mode: LockMode,
        session: bool,
    },
    Rows {
        table: TableId,
        mode: RowMode,
        rows: RowSet,
    },
    Keys {
        space: KeySpace,
        hashes: Vec<u64>,
    },
}

/// Something that a transaction has got, in order.
#[derive(Debug)]
pub(super) enum Taken {
    Object(LockTarget, LockMode),
    Rows(RowMode, RowSet),
    Keys(KeySpace, Vec<u64>),
}

/// Somebody waits.
#[derive(Debug)]
pub(super) struct Wish {
    /// The order of arrival.
    pub(super) number: u64,
    pub(super) what: What,
    pub(super) since_us: i64,
    /// It need not stand behind those who came before: that would close a circle.
    impatient: bool,
    pub(super) woken: Arc<Condvar>,
}

#[derive(Debug, Default)]
pub(super) struct Owner {
    pub(super) pid: i32,
    pub(super) taken: Vec<Taken>,
    /// How many of these a mark counts: they grow no more.
    sealed: usize,
    /// How many grants were made of notes.
    moved: usize,
    /// How often the session has locked what.
    session: HashMap<(LockTarget, LockMode), u32>,
    pub(super) wish: Option<Wish>,
    /// What its last wait for rows has given it.
    pub(super) won: Option<Won>,
    /// The same, kept until it has looked again: of no part of the transaction yet.
    pub(super) kept: Option<Won>,
}

/// What one owner holds of an object: bits of modes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) owner: u64,
    pub(super) transaction: u8,
    pub(super) session: u8,
}

#[derive(Debug)]
pub(super) struct RowGrant {
    pub(super) owner: u64,
    pub(super) mode: RowMode,
    pub(super) rows: RoaringBitmap,
}

/// Who stands in somebody's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    to: u64,
    /// It holds what is wanted; otherwise it only came first.
    hard: bool,
}

#[derive(Debug, Default)]
pub(super) struct Locks {
    pub(super) owners: HashMap<u64, Owner>,
    pub(super) objects: HashMap<LockTarget, Vec<Grant>>,
    pub(super) rows: HashMap<RowSpace, Vec<RowGrant>>,
    keys: HashMap<KeySpace, HashMap<u64, u64>>,
    /// Whether a row's key may be locked by somebody.
    pub(super) has_shared: bool,
    /// Strong locks of tables are counted.
    pub(super) strong: Arc<Strong>,
    /// Weak ones that are no grants yet.
    pub(super) notes: AllNotes,
    arrivals: u64,
    /// Who waits.
    pub(super) waiting: Vec<u64>,
}

impl What {
    /// What an error calls it.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Object { target, .. } => match target {
                LockTarget::Table { table, .. } => format!("relation {table}"),
                LockTarget::Object { object, .. } => format!("object {object}"),
                LockTarget::Advisory { .. } => "advisory lock".to_owned(),
            },
            Self::Rows { table, .. } => format!("row in relation {table}"),
            Self::Keys { space, .. } => format!("relation {}", space.table),
        }
    }

    /// The rows, of which some are waited for.
    fn won(&self) -> Option<Won> {
        match self {
            Self::Rows { mode, rows, .. } => Some((*mode, rows.clone())),
            Self::Object { .. } | Self::Keys { .. } => None,
        }
    }

    fn is_of(&self, touched: &Touched) -> bool {
        match self {
            Self::Object { target, .. } => touched.objects.contains(target),
            // Rows that are no more are not waited for: an empty wish is granted at once.
            Self::Rows { rows, .. } => {
                rows.is_empty() || rows.keys().any(|space| touched.rows.contains(space))
            }
            Self::Keys { space, .. } => touched.keys.contains(space),
        }
    }
}

/// Where locks were given back.
#[derive(Debug, Default)]
pub(super) struct Touched {
    objects: HashSet<LockTarget>,
    pub(super) rows: HashSet<RowSpace>,
    keys: HashSet<KeySpace>,
}

impl Touched {
    fn add(&mut self, what: &What) {
        match what {
            What::Object { target, .. } => drop(self.objects.insert(*target)),
            What::Rows { rows, .. } => self.rows.extend(rows.keys()),
            What::Keys { space, .. } => drop(self.keys.insert(*space)),
        }
    }
}

impl Locks {
    /// Takes what is free of it, for somebody who does not wait yet; what is left.
    pub(super) fn take(&mut self, owner: u64, pid: i32, what: What) -> Option<What> {
        self.owners.entry(owner).or_default().pid = pid;
        self.take_free(owner, what, u64::MAX, false)
    }

    fn take_free(&mut self, owner: u64, what: What, number: u64, impatient: bool) -> Option<What> {
        match what {
            What::Object {
                target,
                mode,
                session,
            } => {
                if self.has(owner, target, mode) {
                    self.grant_object(owner, target, mode, session);
                    return None;
                }
                let what = What::Object {
                    target,
                    mode,
                    session,
                };
                if !self.in_way(owner, &what, number, impatient).is_empty() {
                    return Some(what);
                }
                self.grant_object(owner, target, mode, session);
                None
            }
            What::Rows { table, mode, rows } => {
                let mut busy = RowSet::new();
                for (space, rows) in rows {
                    let held = self.busy(owner, space, mode, &rows);
                    let free = if held.is_empty() { rows } else { rows - &held };
                    if mode != RowMode::Settled {
                        self.grant_rows(owner, space, mode, free);
                    }
                    if !held.is_empty() {
                        busy.insert(space, held);
                    }
                }
                (!busy.is_empty()).then_some(What::Rows {
                    table,
                    mode,
                    rows: busy,
                })
            }
            What::Keys { space, hashes } => {
                let held = self.keys.entry(space).or_default();
                let (mut new, mut busy) = (Vec::new(), Vec::new());
                for hash in hashes {
                    match held.entry(hash) {
                        hashbrown::hash_map::Entry::Occupied(of) if *of.get() != owner => {
                            busy.push(hash);
                        }
                        hashbrown::hash_map::Entry::Occupied(_) => {}
                        hashbrown::hash_map::Entry::Vacant(free) => {
                            free.insert(owner);
                            new.push(hash);
                        }
                    }
                }
                if !new.is_empty() {
                    self.log_keys(owner, space, new);
                }
                (!busy.is_empty()).then_some(What::Keys {
                    space,
                    hashes: busy,
                })
            }
        }
    }

    /// Which of some rows others hold.
    fn busy(
        &self,
        owner: u64,
        space: RowSpace,
        mode: RowMode,
        rows: &RoaringBitmap,
    ) -> RoaringBitmap {
        let mut busy = RoaringBitmap::new();
        for grant in self.rows.get(&space).into_iter().flatten() {
            if grant.owner != owner && grant.mode.conflicts(mode) {
                busy |= &grant.rows & rows;
            }
        }
        busy
    }

    /// Whether the owner has the mode already, so that nobody else can be in the way of it.
    fn has(&self, owner: u64, target: LockTarget, mode: LockMode) -> bool {
        self.grant_of(owner, target)
            .is_some_and(|grant| (grant.transaction | grant.session) & mode.bit() != 0)
    }

    fn grant_of(&self, owner: u64, target: LockTarget) -> Option<&Grant> {
        let grants = self.objects.get(&target)?;
        grants.iter().find(|grant| grant.owner == owner)
    }

    pub(super) fn holds(&self, owner: u64, target: LockTarget, mode: LockMode) -> bool {
        self.grant_of(owner, target).is_some_and(|grant| {
            let held = grant.transaction | grant.session;
            let covers = |strong: &LockMode| {
                held & strong.bit() != 0
                    && strong.conflicts() & mode.conflicts() == mode.conflicts()
            };
            LockMode::ALL.iter().any(covers)
        })
    }

    fn grant_object(&mut self, owner: u64, target: LockTarget, mode: LockMode, session: bool) {
        let grants = self.objects.entry(target).or_default();
        let place = grants.iter().position(|grant| grant.owner == owner);
        let place = place.unwrap_or_else(|| {
            grants.push(Grant {
                owner,
                transaction: 0,
                session: 0,
            });
            grants.len() - 1
        });
        let (Some(grant), Some(known)) = (grants.get_mut(place), self.owners.get_mut(&owner))
        else {
            return;
        };
        if mode.is_strong() && (grant.transaction | grant.session) & mode.bit() == 0 {
            self.strong.add(target);
        }
        if session {
            grant.session |= mode.bit();
            *known.session.entry((target, mode)).or_default() += 1;
        } else if grant.transaction & mode.bit() == 0 {
            grant.transaction |= mode.bit();
            known.taken.push(Taken::Object(target, mode));
        }
    }

    pub(super) fn grant_rows(
        &mut self,
        owner: u64,
        space: RowSpace,
        mode: RowMode,
        mut rows: RoaringBitmap,
    ) {
        self.has_shared |= mode == RowMode::KeyShare;
        let kept = self.take_kept(owner, space, mode, &rows);
        let grants = self.rows.entry(space).or_default();
        let place = grants
            .iter()
            .position(|grant| grant.owner == owner && grant.mode == mode);
        if let Some(grant) = place.and_then(|place| grants.get_mut(place)) {
            rows -= &grant.rows;
            grant.rows |= &rows;
        } else if !rows.is_empty() {
            grants.push(RowGrant {
                owner,
                mode,
                rows: rows.clone(),
            });
        }
        if grants.is_empty() {
            self.rows.remove(&space);
        }
        rows |= kept;
        let Some(known) = self.owners.get_mut(&owner).filter(|_| !rows.is_empty()) else {
            return;
        };
        if known.taken.len() > known.sealed
            && let Some(Taken::Rows(last, more)) = known.taken.last_mut()
            && *last == mode
        {
            *more.entry(space).or_default() |= rows;
        } else {
            known
                .taken
                .push(Taken::Rows(mode, RowSet::from([(space, rows)])));
        }
    }

    fn log_keys(&mut self, owner: u64, space: KeySpace, mut new: Vec<u64>) {
        let Some(known) = self.owners.get_mut(&owner) else {
            return;
        };
        if known.taken.len() > known.sealed
            && let Some(Taken::Keys(last, more)) = known.taken.last_mut()
            && *last == space
        {
            more.append(&mut new);
        } else {
            known.taken.push(Taken::Keys(space, new));
        }
    }

    /// Who stands in the way of what an owner wants, having come as that number.
    fn in_way(&self, owner: u64, what: &What, number: u64, impatient: bool) -> Vec<Edge> {
        let mut found: Vec<Edge> = Vec::new();
        let mut add = |to: u64, hard: bool| {
            if to != owner && !found.iter().any(|edge| edge.to == to) {
                found.push(Edge { to, hard });
            }
        };
        match what {
            What::Object { target, mode, .. } => {
                let grants = self.objects.get(target);
                for grant in grants.into_iter().flatten() {
                    if (grant.transaction | grant.session) & mode.conflicts() != 0 {
                        add(grant.owner, true);
                    }
                }
                if impatient {
                    return found;
                }
                let own = self.grant_of(owner, *target);
                let own = own.map_or(0, |own| own.transaction | own.session);
                for (other, wish) in self.wishes() {
                    let What::Object {
                        target: theirs,
                        mode: wanted,
                        ..
                    } = &wish.what
                    else {
                        continue;
                    };
                    // Who waits for this very owner cannot be waited for.
                    if wish.number < number
                        && theirs == target
                        && wanted.bit() & mode.conflicts() != 0
                        && own & wanted.conflicts() == 0
                    {
                        add(other, false);
                    }
                }
            }
            What::Rows { mode, rows, .. } => {
                for (space, rows) in rows {
                    for grant in self.rows.get(space).into_iter().flatten() {
                        if grant.mode.conflicts(*mode) && !grant.rows.is_disjoint(rows) {
                            add(grant.owner, true);
                        }
                    }
                }
            }
            What::Keys { space, hashes } => {
                if let Some(held) = self.keys.get(space) {
                    for holder in hashes.iter().filter_map(|hash| held.get(hash)) {
                        add(*holder, true);
                    }
                }
            }
        }
        found
    }

    pub(super) fn wishes(&self) -> impl Iterator<Item = (u64, &Wish)> {
        self.waiting
            .iter()
            .filter_map(|owner| Some((*owner, self.owners.get(owner)?.wish.as_ref()?)))
    }

    /// Somebody begins to wait.
    pub(super) fn wish(&mut self, owner: u64, what: What, woken: Arc<Condvar>, since_us: i64) {
        self.arrivals += 1;
        let number = self.arrivals;
        if let Some(known) = self.owners.get_mut(&owner) {
            known.wish = Some(Wish {
                number,
                what,
                since_us,
                impatient: false,
                woken,
            });
            self.waiting.push(owner);
        }
    }

    pub(super) fn waits(&self, owner: u64) -> bool {
        self.owners
            .get(&owner)
            .is_some_and(|known| known.wish.is_some())
    }

    /// Somebody waits no more, without what it wanted.
    pub(super) fn give_up(&mut self, owner: u64) {
        let wish = self
            .owners
            .get_mut(&owner)
            .and_then(|known| known.wish.take());
        self.waiting.retain(|waiting| *waiting != owner);
        if let Some(wish) = wish {
            let mut touched = Touched::default();
            touched.add(&wish.what);
            self.settle(&touched);
        }
    }

    /// Grants what has become free to those who wait, in their order.
    pub(super) fn settle(&mut self, touched: &Touched) {
        if self.waiting.is_empty() {
            return;
        }
        // Arrivals are pushed at the end: this is their order.
        for owner in self.waiting.clone() {
            let Some(known) = self.owners.get_mut(&owner) else {
                continue;
            };
            let Some(wish) = known.wish.take_if(|wish| wish.what.is_of(touched)) else {
                continue;
            };
            let Wish {
                number,
                what,
                since_us,
                impatient,
                woken,
            } = wish;
            let wanted = what.won();
            match self.take_free(owner, what, number, impatient) {
                None => {
                    self.waiting.retain(|waiting| *waiting != owner);
                    if let Some(known) = self.owners.get_mut(&owner) {
                        known.won = wanted;
                    }
                    woken.notify_one();
                }
                Some(what) => {
                    if let Some(known) = self.owners.get_mut(&owner) {
                        known.wish = Some(Wish {
                            number,
                            what,
                            since_us,
                            impatient,
                            woken,
                        });
                    }
                }
            }
        }
    }

    /// Looks whether somebody who begins to wait closes a circle. One in which somebody merely
    /// stands in line is undone by letting that one go ahead; of others the lines of the error.
    pub(super) fn break_circles(&mut self, owner: u64) -> Option<String> {
        loop {
            let circle = self.circle(owner)?;
            let Some((polite, _)) = circle.iter().find(|(_, edge)| !edge.hard) else {
                return Some(self.describe(&circle));
            };
            let known = self.owners.get_mut(polite);
            let wish = known.and_then(|known| known.wish.as_mut())?;
            wish.impatient = true;
            let mut touched = Touched::default();
            touched.add(&wish.what);
            self.settle(&touched);
        }
    }

    /// A way from an owner back to itself: who, and whom it waits for.
    fn circle(&self, owner: u64) -> Option<Vec<(u64, Edge)>> {
        let edges = |of: u64| {
            let wish = self.owners.get(&of).and_then(|known| known.wish.as_ref());
            wish.map_or_else(Vec::new, |wish| {
                self.in_way(of, &wish.what, wish.number, wish.impatient)
            })
        };
        let mut seen = HashSet::new();
        // The way so far, each step with the edges that are still to be tried.
        let mut way = vec![(owner, edges(owner), None::<Edge>)];
        while let Some((_, left, taken)) = way.last_mut() {
            let Some(edge) = left.pop() else {
                way.pop();
                continue;
            };
            *taken = Some(edge);
            if edge.to == owner {
                let steps = way.into_iter();
                return Some(
                    steps
                        .filter_map(|(at, _, edge)| Some((at, edge?)))
                        .collect(),
                );
            }
            if seen.insert(edge.to) {
                way.push((edge.to, edges(edge.to), None));
            }
        }
        None
    }

    fn describe(&self, circle: &[(u64, Edge)]) -> String {
        let pid = |owner: u64| self.owners.get(&owner).map_or(0, |known| known.pid);
        let lines: Vec<String> = circle
            .iter()
            .map(|(owner, edge)| {
                let known = self.owners.get(owner);
                let wish = known.and_then(|known| known.wish.as_ref());
                let wanted = match wish.map(|wish| &wish.what) {
                    Some(What::Object { target, mode, .. }) => {
                        format!("{} on {}", mode.name(), described(*target))
                    }
                    // Whose rows or keys they are is waited for to end.
                    _ => format!("ShareLock on transaction {}", edge.to),
                };
                format!(
                    "Process {} waits for {wanted}; blocked by process {}.",
                    pid(*owner),
                    pid(edge.to)
                )
            })
            .collect();
        lines.join("\n")
    }

    pub(super) fn blocking(&self, pid: i32) -> Vec<i32> {
        let mut found = Vec::new();
        for (owner, wish) in self.wishes() {
            if self
                .owners
                .get(&owner)
                .is_some_and(|known| known.pid == pid)
            {
                let edges = self.in_way(owner, &wish.what, wish.number, wish.impatient);
                let pids = edges
                    .iter()
                    .filter_map(|edge| Some(self.owners.get(&edge.to)?.pid));
                found.extend(pids);
            }
        }
        found
    }

    pub(super) fn mark(&mut self, owner: u64) -> usize {
        let Some(known) = self.owners.get_mut(&owner) else {
            return 0;
        };
        known.sealed = known.taken.len();
        known.sealed
    }

    /// Gives back what the transaction has taken since it had so much.
    pub(super) fn release_to(&mut self, owner: u64, count: usize) {
        self.let_go(owner);
        self.release_taken(owner, count);
    }

    /// The same but for what it keeps.
    pub(super) fn release_taken(&mut self, owner: u64, count: usize) {
        let Some(known) = self.owners.get_mut(&owner) else {
            return;
        };
        if known.taken.len() <= count {
            self.forget(owner);
            return;
        }
        let taken = known.taken.split_off(count);
        known.sealed = known.sealed.min(count);
        let mut touched = Touched::default();
        for taken in taken {
            match taken {
                Taken::Object(target, mode) => {
                    self.drop_bits(owner, target, mode.bit(), 0);
                    touched.objects.insert(target);
                }
                Taken::Rows(mode, rows) => {
                    for (space, rows) in rows {
                        self.drop_rows(owner, space, mode, &rows);
                        touched.rows.insert(space);
                    }
                }
                Taken::Keys(space, hashes) => {
                    if let Some(held) = self.keys.get_mut(&space) {
                        for hash in hashes {
                            held.remove(&hash);
                        }
                        if held.is_empty() {
                            self.keys.remove(&space);
                        }
                    }
                    touched.keys.insert(space);
                }
            }
        }
        self.settle(&touched);
        self.forget(owner);
    }

    /// Somebody wants a strong lock: what others have noted of its target are grants from now on.
    pub(super) fn move_notes(&mut self, target: LockTarget) {
        for (owner, notes) in &self.notes {
            let mut all = notes.all.lock();
            for note in all.of(target) {
                let bit = note.mode.bit();
                let grants = self.objects.entry(target).or_default();
                match grants.iter_mut().find(|grant| grant.owner == *owner) {
                    // It has it otherwise, and gives it back otherwise.
                    Some(grant) if grant.transaction & bit != 0 => continue,
                    Some(grant) => grant.transaction |= bit,
                    None => grants.push(Grant {
                        owner: *owner,
                        transaction: bit,
                        session: 0,
                    }),
                }
                note.moved = true;
                let known = self.owners.entry(*owner).or_default();
                known.pid = notes.pid;
                known.moved += 1;
            }
        }
    }

    /// An owner gives back what it has noted since it had so many.
    pub(super) fn release_notes(&mut self, owner: u64, count: usize) {
        let Some(notes) = self.notes.get(&owner) else {
            return;
        };
        let gone = notes.all.lock().cut(count);
        if gone.is_empty() {
            return;
        }
        let mut touched = Touched::default();
        for Note { target, mode, .. } in gone {
            self.drop_bits(owner, target, mode.bit(), 0);
            touched.objects.insert(target);
            if let Some(known) = self.owners.get_mut(&owner) {
                known.moved = known.moved.saturating_sub(1);
            }
        }
        self.settle(&touched);
        self.forget(owner);
    }

    /// An owner that has nothing and wants nothing is not kept.
    fn forget(&mut self, owner: u64) {
        if self.owners.get(&owner).is_some_and(|known| {
            known.taken.is_empty()
                && known.session.is_empty()
                && known.wish.is_none()
                && known.kept.is_none()
                && known.moved == 0
        }) {
            self.owners.remove(&owner);
        }
    }

    fn drop_bits(&mut self, owner: u64, target: LockTarget, transaction: u8, session: u8) {
        let Some(grants) = self.objects.get_mut(&target) else {
            return;
        };
        for grant in grants.iter_mut().filter(|grant| grant.owner == owner) {
            let before = grant.transaction | grant.session;
            grant.transaction &= !transaction;
            grant.session &= !session;
            let gone = before & !(grant.transaction | grant.session);
            for mode in LockMode::ALL.into_iter().filter(|mode| mode.is_strong()) {
                if gone & mode.bit() != 0 {
                    self.strong.subtract(target);
                }
            }
        }
        grants.retain(|grant| grant.transaction | grant.session != 0);
        if grants.is_empty() {
            self.objects.remove(&target);
        }
    }

    pub(super) fn drop_rows(
        &mut self,
        owner: u64,
        space: RowSpace,
        mode: RowMode,
        rows: &RoaringBitmap,
    ) {
        let Some(grants) = self.rows.get_mut(&space) else {
            return;
        };
        for grant in grants.iter_mut() {
            if grant.owner == owner && grant.mode == mode {
                grant.rows -= rows;
            }
        }
        grants.retain(|grant| !grant.rows.is_empty());
        if grants.is_empty() {
            self.rows.remove(&space);
        }
    }

    pub(super) fn unlock(&mut self, owner: u64, target: LockTarget, mode: LockMode) -> bool {
        let Some(known) = self.owners.get_mut(&owner) else {
            return false;
        };
        let Some(count) = known.session.get_mut(&(target, mode)) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            known.session.remove(&(target, mode));
            self.drop_bits(owner, target, 0, mode.bit());
            let mut touched = Touched::default();
            touched.objects.insert(target);
            self.settle(&touched);
            self.forget(owner);
        }
        true
    }

    pub(super) fn unlock_all(&mut self, owner: u64) {
        let Some(known) = self.owners.get_mut(&owner) else {
            return;
        };
        let mut touched = Touched::default();
        for ((target, mode), _) in std::mem::take(&mut known.session) {
            self.drop_bits(owner, target, 0, mode.bit());
            touched.objects.insert(target);
        }
        self.settle(&touched);
        self.forget(owner);
    }

    /// An owner is no more.
    pub(super) fn leave(&mut self, owner: u64) {
        self.release_notes(owner, 0);
        self.release_to(owner, 0);
        self.unlock_all(owner);
        self.notes.remove(&owner);
    }

    pub(super) fn has_rows(&self, space: RowSpace) -> bool {
        let wanted = |wish: &Wish| matches!(&wish.what, What::Rows { rows, .. } if rows.contains_key(&space));
        self.rows.contains_key(&space) || self.wishes().any(|(_, wish)| wanted(wish))
    }

    /// What an owner holds of a table's rows in a mode.
    pub(super) fn rows_of(&self, owner: u64, table: TableId, mode: RowMode) -> RowSet {
        let mut found = RowSet::new();
        for (space, grants) in self.rows.iter().filter(|(space, _)| space.table == table) {
            let own = |grant: &&RowGrant| grant.owner == owner && grant.mode == mode;
            for grant in grants.iter().filter(own) {
                *found.entry(*space).or_default() |= &grant.rows;
            }
        }
        found
    }

    pub(super) fn move_rows(
        &mut self,
        from: RowSpace,
        mut place: impl FnMut(u32) -> Option<(RowSpace, u32)>,
    ) {
        if !self.has_rows(from) {
            return;
        }
        let mut moved = |rows: &RoaringBitmap| {
            let mut to = RowSet::new();
            for (space, row) in rows.iter().filter_map(&mut place) {
                to.entry(space).or_default().insert(row);
            }
            to
        };
        // All of the place first: it may be among those that its rows go to.
        for grant in self.rows.remove(&from).unwrap_or_default() {
            for (space, rows) in moved(&grant.rows) {
                let grants = self.rows.entry(space).or_default();
                let same =
                    |known: &&mut RowGrant| known.owner == grant.owner && known.mode == grant.mode;
                match grants.iter_mut().find(same) {
                    Some(known) => known.rows |= rows,
                    None => grants.push(RowGrant {
                        owner: grant.owner,
                        mode: grant.mode,
                        rows,
                    }),
                }
            }
        }
        let mut touched = Touched::default();
        touched.rows.insert(from);
        let mut scatter = |set: &mut RowSet| {
            let Some(rows) = set.remove(&from) else {
                return;
            };
            for (space, rows) in moved(&rows) {
                *set.entry(space).or_default() |= rows;
            }
        };
        for known in self.owners.values_mut() {
            for taken in &mut known.taken {
                if let Taken::Rows(_, rows) = taken {
                    scatter(rows);
                }
            }
            for (_, rows) in known.won.iter_mut().chain(&mut known.kept) {
                scatter(rows);
            }
            if let Some(wish) = &mut known.wish
                && let What::Rows { rows, .. } = &mut wish.what
                && rows.contains_key(&from)
            {
                scatter(rows);
                touched.add(&wish.what);
            }
        }
        self.settle(&touched);
    }

    /// Who stands first in the way of somebody who waits; itself where nobody does any more.
    pub(super) fn first_in_way(&self, owner: u64) -> u64 {
        let wish = self
            .owners
            .get(&owner)
            .and_then(|known| known.wish.as_ref());
        let first = wish.and_then(|wish| {
            let edges = self.in_way(owner, &wish.what, wish.number, wish.impatient);
            edges.first().map(|edge| edge.to)
        });
        first.unwrap_or(owner)
    }
}

impl Owner {
    /// Whether the transaction has rows or keys.
    pub(super) fn has_sets(&self) -> bool {
        let object = |taken: &Taken| matches!(taken, Taken::Object(..));
        self.kept.is_some() || !self.taken.iter().all(object)
    }
}

pub(super) fn described(target: LockTarget) -> String {
    match target {
        LockTarget::Table { database, table } => {
            format!("relation {table} of database {database}")
        }
        LockTarget::Object {
            database,
            class,
            object,
        } => format!("object {object} of class {class} of database {database}"),
        LockTarget::Advisory {
            database,
            class,
            object,
            kind,
        } => format!("advisory lock [{database},{class},{object},{kind}]"),
    }
}
