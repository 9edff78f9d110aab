//! Where tables and views are.

pub(crate) const CATALOG: &str = "default_catalog";
pub(crate) const DATABASE: &str = "default_database";

/// The full name of a table or a view.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ObjectPath {
    pub catalog: String,
    pub database: String,
    pub name: String,
}

impl ObjectPath {
    /// `t`, `db.t` or `cat.db.t`: what is there from the start is left out.
    pub fn short(&self) -> String {
        match (self.catalog.as_str(), self.database.as_str()) {
            (CATALOG, DATABASE) => self.name.clone(),
            (CATALOG, database) => format!("{database}.{}", self.name),
            (catalog, database) => format!("{catalog}.{database}.{}", self.name),
        }
    }

    /// `cat.db.t`
    pub fn full(&self) -> String {
        format!("{}.{}.{}", self.catalog, self.database, self.name)
    }

    /// Another name beside this one.
    pub fn beside(&self, name: &str) -> ObjectPath {
        ObjectPath { name: name.to_string(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_from_the_start_is_left_out() {
        let path = |catalog: &str, database: &str| ObjectPath {
            catalog: catalog.into(),
            database: database.into(),
            name: "t".into(),
        };
        assert_eq!(path(CATALOG, DATABASE).short(), "t");
        assert_eq!(path(CATALOG, "d").short(), "d.t");
        assert_eq!(path("c", DATABASE).short(), "c.default_database.t");
        assert_eq!(path("c", "d").beside("u").full(), "c.d.u");
    }
}
