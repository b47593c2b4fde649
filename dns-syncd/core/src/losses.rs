//! What changes count against the guard's budgets, one by one and together.

/// What a change counts against the guard's budgets (DESIGN "Guard").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// A set is deleted.
    pub deleted: bool,
    /// A set is otherwise changed.
    pub updated: bool,
    /// A global name is emptied.
    pub emptied: bool,
}

impl Losses {
    /// True when it counts anywhere.
    pub fn any(self) -> bool {
        self.deleted || self.updated || self.emptied
    }
}

/// Losses by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossCount {
    /// Sets deleted.
    pub deleted: usize,
    /// Sets otherwise changed.
    pub updated: usize,
    /// Global names emptied.
    pub emptied: usize,
}

impl std::ops::Add for LossCount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            deleted: self.deleted + other.deleted,
            updated: self.updated + other.updated,
            emptied: self.emptied + other.emptied,
        }
    }
}

impl std::ops::AddAssign for LossCount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::SubAssign for LossCount {
    fn sub_assign(&mut self, other: Self) {
        self.deleted -= other.deleted;
        self.updated -= other.updated;
        self.emptied -= other.emptied;
    }
}

impl std::iter::Sum<Losses> for LossCount {
    fn sum<I: Iterator<Item = Losses>>(all: I) -> Self {
        all.fold(Self::default(), |count, losses| {
            count
                + Self {
                    deleted: usize::from(losses.deleted),
                    updated: usize::from(losses.updated),
                    emptied: usize::from(losses.emptied),
                }
        })
    }
}
