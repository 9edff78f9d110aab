//! CREATE, ALTER and DROP of catalogs and databases.

use super::ast::{DatabaseStatement, Property};
use super::statement::StatementParser;
use crate::PlanError;

impl StatementParser<'_> {
    /// `CATALOG|DATABASE [IF NOT EXISTS] name [COMMENT 'text'] [WITH (..)]` behind CREATE
    pub(super) fn create_database(&mut self) -> Result<DatabaseStatement, PlanError> {
        let is_catalog = self.word("CATALOG");
        if !is_catalog {
            self.expect_word("DATABASE")?;
        }
        let if_not_exists = self.if_not_exists()?;
        if is_catalog {
            let name = self.ident()?;
            let (comment, options) = self.description()?;
            return Ok(DatabaseStatement::CreateCatalog { name, if_not_exists, comment, options });
        }
        let name = self.name()?;
        let (comment, options) = self.description()?;
        Ok(DatabaseStatement::CreateDatabase { name, if_not_exists, comment, options })
    }

    fn description(&mut self) -> Result<(Option<String>, Vec<Property>), PlanError> {
        let comment = self.comment()?;
        let options = match self.word("WITH") {
            true => self.properties()?,
            false => vec![],
        };
        Ok((comment, options))
    }

    /// `CATALOG|DATABASE [IF EXISTS] name [RESTRICT|CASCADE]` behind DROP
    pub(super) fn drop_database(&mut self) -> Result<DatabaseStatement, PlanError> {
        if self.word("CATALOG") {
            let if_exists = self.if_exists()?;
            return Ok(DatabaseStatement::DropCatalog { name: self.ident()?, if_exists });
        }
        self.expect_word("DATABASE")?;
        let if_exists = self.if_exists()?;
        let name = self.name()?;
        let cascade = self.word("CASCADE");
        if !cascade {
            self.word("RESTRICT");
        }
        Ok(DatabaseStatement::DropDatabase { name, if_exists, cascade })
    }

    /// `name SET (..)` behind ALTER DATABASE
    pub(super) fn alter_database(&mut self) -> Result<DatabaseStatement, PlanError> {
        let name = self.name()?;
        self.expect_word("SET")?;
        Ok(DatabaseStatement::AlterDatabase { name, options: self.properties()? })
    }
}
