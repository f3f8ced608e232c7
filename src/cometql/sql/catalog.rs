//! Questions about the server's own tables, as graphical clients and drivers ask them: a small general SELECT.
//!
//! CometQL's SELECT is about keys; these are about descriptions (`information_schema`), of which there are few, so that
//! joins, groups, unions and subqueries over them cost little. Nothing here has been looked up or computed yet.

use super::statement::{Limit, TableName, Value};

/// One or more SELECTs joined by UNION, sorted and cut together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Never empty.
    pub blocks: Vec<Block>,
    /// Whether any UNION among them drops rows that are there already.
    pub distinct: bool,
    /// Most significant first, and whether descending.
    pub order: Vec<(Scalar, bool)>,
    pub limit: Option<Limit>,
}

/// One SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub distinct: bool,
    pub entries: Vec<Entry>,
    pub from: Vec<Joined>,
    pub condition: Option<Scalar>,
    pub group: Vec<Scalar>,
    pub having: Option<Scalar>,
}

/// One entry of the list behind SELECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// `*`, or all columns of the table of this name or alias.
    All(Option<Box<str>>),
    One {
        scalar: Scalar,
        heading: Box<str>,
    },
}

/// A table, and how its rows meet those of the tables before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    pub relation: Relation,
    /// The alias, or the table's own name.
    pub name: Box<str>,
    /// A row without a partner stays, with NULL beside it.
    pub outer: bool,
    pub on: On,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    Table(TableName<'static>),
    Query(Box<Query>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum On {
    Everything,
    Condition(Scalar),
    Using(Vec<Box<str>>),
}

/// Anything that has a value in a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    Value(Value<'static>),
    Column {
        table: Option<Box<str>>,
        name: Box<str>,
    },
    /// As in `Expression::Variable`.
    Variable(Box<str>),
    /// A function or an operator, its name in upper case: `CONCAT`, `=`, `AND`, `IN`, `CASE` (condition, value, ..., last
    /// value).
    Call {
        name: Box<str>,
        arguments: Vec<Scalar>,
    },
    /// A function of all rows of a group: `COUNT`, `SUM`, `MIN`, `MAX`, `AVG`, `GROUP_CONCAT`. No argument: of the rows.
    Aggregate {
        name: Box<str>,
        distinct: bool,
        argument: Option<Box<Scalar>>,
        separator: Box<str>,
    },
    /// The one value of a query; NULL if it has no row.
    Query(Box<Query>),
    Exists(Box<Query>),
    InQuery {
        scalar: Box<Scalar>,
        query: Box<Query>,
    },
}

impl Query {
    /// `SELECT scalar`, without a heading.
    pub fn of(scalar: Scalar) -> Self {
        let block = Block {
            distinct: false,
            entries: vec![Entry::One { scalar, heading: Box::default() }],
            from: Vec::new(),
            condition: None,
            group: Vec::new(),
            having: None,
        };
        Self { blocks: vec![block], distinct: false, order: Vec::new(), limit: None }
    }

    /// Whether it has one row of one value, however that is computed.
    pub(super) fn is_one_value(&self) -> bool {
        match self.blocks.as_slice() {
            [block] => {
                let one = matches!(block.entries.as_slice(), [Entry::One { scalar, .. }] if !scalar.is_aggregate());
                let bare = block.from.is_empty() && block.condition.is_none() && block.group.is_empty();
                one && bare && block.having.is_none() && self.order.is_empty() && self.limit.is_none()
            }
            _ => false,
        }
    }

    /// Nobody sees what stands over the columns.
    pub(super) fn drop_headings(&mut self) {
        for entry in self.blocks.iter_mut().flat_map(|block| &mut block.entries) {
            if let Entry::One { heading, .. } = entry {
                *heading = Box::default();
            }
        }
    }

    pub(super) fn each_value(&mut self, visit: &mut impl FnMut(&mut Value<'static>)) {
        if let Some(limit) = &mut self.limit {
            visit(&mut limit.count);
            limit.offset.iter_mut().for_each(&mut *visit);
        }
        self.each_scalar(&mut |scalar| {
            if let Scalar::Value(value) = scalar {
                visit(value);
            }
        });
    }

    /// Every scalar of this query and of those within it, parts after the whole.
    pub fn each_scalar(&mut self, visit: &mut dyn FnMut(&mut Scalar)) {
        for block in &mut self.blocks {
            for entry in &mut block.entries {
                if let Entry::One { scalar, .. } = entry {
                    scalar.each(visit);
                }
            }
            for joined in &mut block.from {
                if let Relation::Query(query) = &mut joined.relation {
                    query.each_scalar(visit);
                }
                if let On::Condition(scalar) = &mut joined.on {
                    scalar.each(visit);
                }
            }
            let others = block.condition.iter_mut().chain(&mut block.group).chain(&mut block.having);
            others.for_each(|scalar| scalar.each(visit));
        }
        self.order.iter_mut().for_each(|(scalar, _)| scalar.each(visit));
    }

    /// Every table that this query and those within it name.
    pub fn each_table(&mut self, visit: &mut dyn FnMut(&mut TableName<'static>)) {
        for block in &mut self.blocks {
            for joined in &mut block.from {
                match &mut joined.relation {
                    Relation::Table(table) => visit(table),
                    Relation::Query(query) => query.each_table(visit),
                }
                if let On::Condition(scalar) = &mut joined.on {
                    scalar.each_table(visit);
                }
            }
            for entry in &mut block.entries {
                if let Entry::One { scalar, .. } = entry {
                    scalar.each_table(visit);
                }
            }
            let others = block.condition.iter_mut().chain(&mut block.group).chain(&mut block.having);
            others.for_each(|scalar| scalar.each_table(visit));
        }
        self.order.iter_mut().for_each(|(scalar, _)| scalar.each_table(visit));
    }

    /// Puts this database before the names of tables where none is named; whether there were any.
    pub(super) fn complete_names(&mut self, database: &'static str) -> bool {
        let mut any = false;
        self.each_table(&mut |table| {
            any |= !table.name.eq_ignore_ascii_case("dual") && table.complete(database);
        });
        any
    }
}

impl Scalar {
    pub(super) fn each_value(&mut self, visit: &mut dyn FnMut(&mut Value<'static>)) {
        self.each(&mut |scalar| {
            if let Self::Value(value) = scalar {
                visit(value);
            }
        });
    }

    /// Whether it is computed from values alone.
    pub(super) fn is_constant(&self) -> bool {
        match self {
            Self::Value(_) | Self::Variable(_) => true,
            Self::Call { arguments, .. } => arguments.iter().all(Self::is_constant),
            Self::Column { .. } | Self::Aggregate { .. } | Self::Query(_) | Self::Exists(_) | Self::InQuery { .. } => {
                false
            }
        }
    }

    fn each(&mut self, visit: &mut dyn FnMut(&mut Self)) {
        visit(self);
        match self {
            Self::Value(_) | Self::Column { .. } | Self::Variable(_) => {}
            Self::Call { arguments, .. } => arguments.iter_mut().for_each(|argument| argument.each(visit)),
            Self::Aggregate { argument, .. } => argument.iter_mut().for_each(|argument| argument.each(visit)),
            Self::Query(query) | Self::Exists(query) => query.each_scalar(visit),
            Self::InQuery { scalar, query } => {
                scalar.each(visit);
                query.each_scalar(visit);
            }
        }
    }

    fn each_table(&mut self, visit: &mut dyn FnMut(&mut TableName<'static>)) {
        match self {
            Self::Value(_) | Self::Column { .. } | Self::Variable(_) => {}
            Self::Call { arguments, .. } => arguments.iter_mut().for_each(|argument| argument.each_table(visit)),
            Self::Aggregate { argument, .. } => argument.iter_mut().for_each(|argument| argument.each_table(visit)),
            Self::Query(query) | Self::Exists(query) => query.each_table(visit),
            Self::InQuery { scalar, query } => {
                scalar.each_table(visit);
                query.each_table(visit);
            }
        }
    }

    /// How many values, names and functions it is made of; a query within it counts as many as it has entries.
    pub(super) fn parts(&self) -> usize {
        let sum = |parts: usize, part: &Self| parts.saturating_add(part.parts());
        let of_query = |query: &Query| query.blocks.iter().map(|block| block.entries.len()).sum::<usize>();
        match self {
            Self::Value(_) | Self::Column { .. } | Self::Variable(_) => 1,
            Self::Call { arguments, .. } => arguments.iter().fold(1, sum),
            Self::Aggregate { argument, .. } => {
                argument.iter().map(|argument| argument.parts()).fold(1, usize::saturating_add)
            }
            Self::Query(query) | Self::Exists(query) => of_query(query),
            Self::InQuery { scalar, query } => scalar.parts().saturating_add(of_query(query)),
        }
    }

    /// Whether it is computed from all rows of a group.
    pub fn is_aggregate(&self) -> bool {
        match self {
            Self::Aggregate { .. } => true,
            Self::Call { arguments, .. } => arguments.iter().any(Self::is_aggregate),
            Self::InQuery { scalar, .. } => scalar.is_aggregate(),
            Self::Value(_) | Self::Column { .. } | Self::Variable(_) | Self::Query(_) | Self::Exists(_) => false,
        }
    }
}
