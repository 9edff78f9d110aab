//! One statement: which it is, and the forms that are not DDL.

use super::ast::*;
use super::error::convert;
use super::hints::Hints;
use super::match_recognize;
use super::reserved::check_names;
use super::script::{Script, is_blank};
use crate::PlanError;
use sqlparser::ast::{Expr, Ident, ObjectName, ObjectNamePart, Query};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Span, Token, TokenWithSpan};
use weir_types::OnConflict;

/// Parses the statement that `tokens` of `script` are.
pub(super) fn parse(script: &Script, tokens: &[TokenWithSpan]) -> Result<Statement, PlanError> {
    let result = Hints::read(tokens).and_then(|hints| {
        let (rewritten, derived) = match_recognize::rewrite(tokens)?;
        let mut parser = StatementParser::new(script, tokens, rewritten);
        let mut kind = parser.statement()?;
        parser.expect_end()?;
        derived.apply(&mut kind);
        check_names(&kind).map_err(|error| error.at(string_as_name(tokens)))?;
        hints.apply(&mut kind)?;
        Ok(kind)
    });
    let kind = result.map_err(|error| error.with_source(&script.source))?;
    // A piece has at least one token.
    let (first, last) = (tokens[0].span, tokens[tokens.len() - 1].span);
    let range = (script.byte(first.start), script.byte(last.end));
    Ok(Statement::new(kind, script.source.clone(), range, first.start.line))
}

/// Where a string stands as a name, of which the parser notes no place: in the line of a value, a name or AS, behind it.
fn string_as_name(tokens: &[TokenWithSpan]) -> Span {
    let mut before: Option<&TokenWithSpan> = None;
    for token in tokens.iter().filter(|token| !is_blank(token)) {
        let follows_value = before.is_some_and(|before| {
            before.span.end.line == token.span.start.line
                && match &before.token {
                    Token::SingleQuotedString(_) | Token::Number(..) | Token::RParen => true,
                    Token::Word(word) => {
                        word.keyword == Keyword::AS
                            || (word.keyword == Keyword::NoKeyword && !word.value.starts_with('_'))
                    }
                    _ => false,
                }
        });
        if follows_value && matches!(token.token, Token::SingleQuotedString(_)) {
            return token.span;
        }
        before = Some(token);
    }
    Span::empty()
}

/// How deeply expressions and queries may nest. Whatever works on trees recurses as deeply.
const DEPTH: usize = 200;

/// Reads one statement; sqlparser reads the queries and expressions in it.
pub(super) struct StatementParser<'a> {
    pub(super) parser: Parser<'a>,
    pub(super) script: &'a Script,
    tokens: &'a [TokenWithSpan],
}

impl<'a> StatementParser<'a> {
    /// `rewritten`: the tokens as sqlparser reads them.
    fn new(script: &'a Script, tokens: &'a [TokenWithSpan], rewritten: Vec<TokenWithSpan>) -> Self {
        let parser = Parser::new(&super::dialect::FlinkDialect)
            .with_recursion_limit(DEPTH)
            .with_tokens_with_locations(rewritten);
        StatementParser { parser, script, tokens }
    }

    fn statement(&mut self) -> Result<StatementKind, PlanError> {
        let first = self.parser.peek_token();
        let Token::Word(word) = &first.token else {
            return match first.token {
                Token::LParen => Ok(StatementKind::Query(self.query()?)),
                _ => Err(self.unexpected("a statement")),
            };
        };
        match word.value.to_uppercase().as_str() {
            "SELECT" | "WITH" | "VALUES" => Ok(StatementKind::Query(self.query()?)),
            "CREATE" if self.peeks_savepoint(1) => self.create_savepoint(),
            "CREATE" => self.create(),
            "DROP" if self.words(&["DROP", "CHECKPOINT"]) => {
                let path = self.string()?.value;
                Ok(StatementKind::Client(ClientCommand::DropCheckpoint { path }))
            }
            "DROP" => self.drop_statement(),
            "SHOW" if self.words(&["SHOW", "CHECKPOINTS"]) => self.show_checkpoints(),
            "ALTER" => self.alter(),
            "INSERT" => Ok(StatementKind::Insert(Box::new(self.insert()?))),
            "EXECUTE" => self.execute(),
            "STATEMENT" | "BEGIN" => self.statement_set(),
            "SET" => self.set(),
            "RESET" => self.reset(),
            "SHOW" => self.show(),
            "DESCRIBE" | "DESC" => self.describe(),
            "USE" => self.use_statement(),
            "EXPLAIN" => self.explain(),
            "STOP" => self.stop(),
            "QUIT" | "EXIT" => self.client(ClientCommand::Quit),
            "CLEAR" => self.client(ClientCommand::Clear),
            "HELP" => self.client(ClientCommand::Help),
            "ADD" | "REMOVE" | "ANALYZE" | "CALL" | "COMPILE" | "DELETE" | "LOAD" | "UNLOAD" | "TRUNCATE"
            | "UPDATE" | "MERGE" => {
                let what = self.leading_words(2);
                Err(PlanError::not_supported(what).at(first.span))
            }
            other => {
                let known = super::KEYWORDS_OF_STATEMENTS.iter().copied();
                let nearest = weir_types::did_you_mean(other, known);
                let message = format!("no statement begins with '{}'{nearest}", word.value);
                Err(PlanError::syntax(message).at(first.span))
            }
        }
    }

    fn client(&mut self, command: ClientCommand) -> Result<StatementKind, PlanError> {
        self.parser.advance_token();
        Ok(StatementKind::Client(command))
    }

    /// `EXECUTE STATEMENT SET BEGIN .. END`, `EXECUTE INSERT ..`, `EXECUTE SELECT ..`
    fn execute(&mut self) -> Result<StatementKind, PlanError> {
        let execute = self.expect_word("EXECUTE")?;
        if self.peek_word("STATEMENT") || self.peek_word("INSERT") || self.peek_query() {
            return self.statement();
        }
        if self.peek_word("PLAN") || self.peek_word("JOB") || self.peek_word("IMMEDIATE") {
            let what = format!("EXECUTE {}", self.parser.peek_token_ref().token);
            return Err(PlanError::not_supported(what).at(execute));
        }
        Err(self.unexpected("STATEMENT SET, INSERT or SELECT after EXECUTE"))
    }

    /// `STATEMENT SET BEGIN insert; .. END`, or the older `BEGIN STATEMENT SET; insert; .. END`
    fn statement_set(&mut self) -> Result<StatementKind, PlanError> {
        let old = self.word("BEGIN");
        let start = self.expect_word("STATEMENT")?;
        self.expect_word("SET")?;
        match old {
            true => self.expect(&Token::SemiColon)?,
            false => self.expect_word("BEGIN")?,
        };
        let mut inserts = vec![];
        while !self.word("END") {
            if self.parser.consume_token(&Token::SemiColon) {
                continue;
            }
            self.word("EXECUTE");
            if !self.peek_word("INSERT") {
                return Err(self.unexpected("INSERT or END in a STATEMENT SET"));
            }
            inserts.push(self.insert()?);
            if !self.peek_word("END") {
                self.expect(&Token::SemiColon)?;
            }
        }
        match inserts.is_empty() {
            true => Err(PlanError::invalid("a STATEMENT SET without an INSERT has nothing to do").at(start)),
            false => Ok(StatementKind::StatementSet(inserts)),
        }
    }

    /// `INSERT INTO|OVERWRITE t [PARTITION (k = v, ..)] [(columns)] query [ON CONFLICT DO ERROR|NOTHING|DEDUPLICATE]`
    fn insert(&mut self) -> Result<Insert, PlanError> {
        self.expect_word("INSERT")?;
        let overwrite = self.word("OVERWRITE");
        match overwrite {
            true => {
                self.word("INTO");
            }
            false => {
                self.expect_word("INTO")?;
            }
        }
        self.word("TABLE");
        let table = self.name()?;
        let mut partition = vec![];
        if self.word("PARTITION") {
            self.expect(&Token::LParen)?;
            loop {
                let column = self.ident()?;
                self.expect(&Token::Eq)?;
                partition.push((column, self.expr()?));
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
            self.expect(&Token::RParen)?;
        }
        let mut columns = vec![];
        if self.parser.peek_token_ref().token == Token::LParen && !self.query_follows_paren() {
            columns = self.idents()?;
        }
        if !self.peek_query() && self.parser.peek_token_ref().token != Token::LParen {
            return Err(self.unexpected("SELECT, WITH or VALUES"));
        }
        let query = self.query()?;
        Ok(Insert { table, overwrite, partition, columns, query, conflict: self.on_conflict()? })
    }

    /// `[ON CONFLICT DO ERROR|NOTHING|DEDUPLICATE]`
    fn on_conflict(&mut self) -> Result<Option<(OnConflict, Span)>, PlanError> {
        let start = self.parser.peek_token_ref().span;
        if !self.word("ON") {
            return Ok(None);
        }
        self.expect_word("CONFLICT")?;
        self.expect_word("DO")?;
        let action = [OnConflict::Error, OnConflict::Nothing, OnConflict::Deduplicate];
        let action = action.into_iter().find(|action| self.word(action.word()));
        let action = action.ok_or_else(|| self.unexpected("ERROR, NOTHING or DEDUPLICATE"))?;
        Ok(Some((action, start)))
    }

    /// After the parenthesis that is next: does a query follow, perhaps after further parentheses?
    fn query_follows_paren(&self) -> bool {
        let ahead = (0..).map(|n| self.parser.peek_nth_token(n));
        let first = ahead.into_iter().find(|token| token.token != Token::LParen);
        first.is_some_and(|token| {
            ["SELECT", "WITH", "VALUES"].iter().any(|word| super::script::is_word(&token, word))
        })
    }

    /// `EXPLAIN [PLAN FOR | detail, ..] statement`
    fn explain(&mut self) -> Result<StatementKind, PlanError> {
        let start = self.expect_word("EXPLAIN")?;
        let mut details = vec![];
        if self.word("PLAN") {
            self.expect_word("FOR")?;
        } else {
            while let Some(detail) = self.explain_detail() {
                details.push(detail);
                if !self.parser.consume_token(&Token::Comma) {
                    break;
                }
            }
        }
        if details.contains(&ExplainDetail::Checkpoint) && details.len() > 1 {
            return Err(PlanError::invalid(
                "EXPLAIN CHECKPOINT shows state and nothing else: take CHECKPOINT out of the \
                 list, or the others",
            )
            .at(start));
        }
        if details.contains(&ExplainDetail::Checkpoint)
            && let Some(command) = self.stored_checkpoint()?
        {
            return Ok(StatementKind::Client(command));
        }
        let at = self.parser.peek_token().span;
        let statement = self.statement()?;
        match statement {
            StatementKind::Query(_) | StatementKind::Insert(_) | StatementKind::StatementSet(_) => {
                Ok(StatementKind::Explain(Explain { details, statement: Box::new(statement) }))
            }
            _ => Err(PlanError::invalid("EXPLAIN takes a SELECT, an INSERT or a STATEMENT SET").at(at)),
        }
    }

    /// `'path'` or `FOR JOB 'id' [number]` behind `EXPLAIN CHECKPOINT`; `None` for a statement.
    fn stored_checkpoint(&mut self) -> Result<Option<ClientCommand>, PlanError> {
        if matches!(self.parser.peek_token_ref().token, Token::SingleQuotedString(_)) {
            return Ok(Some(ClientCommand::ExplainCheckpoint { path: self.string()?.value }));
        }
        if !self.words(&["FOR", "JOB"]) {
            return Ok(None);
        }
        let id = self.string()?.value;
        let number = match &self.parser.peek_token_ref().token {
            Token::Number(digits, _) => Some(digits.parse::<u64>()),
            _ => None,
        };
        let number = match number {
            Some(Ok(number)) => {
                self.parser.advance_token();
                Some(number)
            }
            Some(Err(_)) => {
                let at = self.parser.peek_token().span;
                return Err(PlanError::invalid("the number of a checkpoint is a whole number").at(at));
            }
            None => None,
        };
        Ok(Some(ClientCommand::ExplainCheckpointOfJob { id, number }))
    }

    /// `SHOW CHECKPOINTS [FOR JOB 'id']`
    fn show_checkpoints(&mut self) -> Result<StatementKind, PlanError> {
        let id = if self.words(&["FOR", "JOB"]) { Some(self.string()?.value) } else { None };
        Ok(StatementKind::Client(ClientCommand::ShowCheckpoints { id }))
    }

    fn explain_detail(&mut self) -> Option<ExplainDetail> {
        let details = [
            ("ESTIMATED_COST", ExplainDetail::EstimatedCost),
            ("CHANGELOG_MODE", ExplainDetail::ChangelogMode),
            ("PLAN_ADVICE", ExplainDetail::PlanAdvice),
            ("JSON_EXECUTION_PLAN", ExplainDetail::JsonExecutionPlan),
            ("CHECKPOINT", ExplainDetail::Checkpoint),
        ];
        details.into_iter().find(|(word, _)| self.word(word)).map(|(_, detail)| detail)
    }

    /// `STOP JOB 'id' [WITH [CANONICAL|NATIVE] SAVEPOINT ['directory'] [WITH DRAIN]]`
    fn stop(&mut self) -> Result<StatementKind, PlanError> {
        self.expect_word("STOP")?;
        self.expect_word("JOB")?;
        let id = self.string()?.value;
        let stop = if self.peek_word("WITH") && self.peeks_savepoint(1) {
            self.expect_word("WITH")?;
            let canonical = self.savepoint_format()?;
            let savepoint = SavepointWish { directory: self.optional_string()?, canonical };
            match self.words(&["WITH", "DRAIN"]) {
                true => StopMode::Drain(savepoint),
                false => StopMode::Suspend(savepoint),
            }
        } else {
            let at = self.parser.peek_token().span;
            if self.words(&["WITH", "DRAIN"]) {
                let message = "STOP JOB .. WITH DRAIN needs a savepoint: write WITH SAVEPOINT WITH DRAIN";
                return Err(PlanError::invalid(message).at(at));
            }
            StopMode::Cancel
        };
        Ok(StatementKind::Client(ClientCommand::StopJob { id, stop }))
    }

    /// `CREATE [CANONICAL|NATIVE] SAVEPOINT ['directory'] FOR JOB 'id'`
    fn create_savepoint(&mut self) -> Result<StatementKind, PlanError> {
        self.expect_word("CREATE")?;
        let canonical = self.savepoint_format()?;
        let directory = self.optional_string()?;
        self.expect_word("FOR")?;
        self.expect_word("JOB")?;
        let id = self.string()?.value;
        let savepoint = SavepointWish { directory, canonical };
        Ok(StatementKind::Client(ClientCommand::CreateSavepoint { id, savepoint }))
    }

    /// Whether `[CANONICAL|NATIVE] SAVEPOINT` stands behind the next `ahead` tokens.
    fn peeks_savepoint(&self, ahead: usize) -> bool {
        let is =
            |place: usize, word: &str| super::script::is_word(self.parser.peek_nth_token_ref(place), word);
        let format = is(ahead, "CANONICAL") || is(ahead, "NATIVE");
        is(ahead + usize::from(format), "SAVEPOINT")
    }

    /// `[CANONICAL|NATIVE] SAVEPOINT`: true for a canonical one.
    fn savepoint_format(&mut self) -> Result<bool, PlanError> {
        let canonical = self.word("CANONICAL");
        if !canonical {
            self.word("NATIVE");
        }
        self.expect_word("SAVEPOINT")?;
        Ok(canonical)
    }

    /// A string, if one is next.
    fn optional_string(&mut self) -> Result<Option<String>, PlanError> {
        match self.parser.peek_token_ref().token {
            Token::SingleQuotedString(_) => Ok(Some(self.string()?.value)),
            _ => Ok(None),
        }
    }
}

/// The pieces that statements are made of.
impl StatementParser<'_> {
    /// Takes the next token if it is this word, not in backticks, in any case.
    pub(super) fn word(&mut self, word: &str) -> bool {
        let found = self.peek_word(word);
        if found {
            self.parser.advance_token();
        }
        found
    }

    /// Takes all of `words` or none.
    pub(super) fn words(&mut self, words: &[&str]) -> bool {
        let found = words
            .iter()
            .enumerate()
            .all(|(n, word)| super::script::is_word(self.parser.peek_nth_token_ref(n), word));
        if found {
            words.iter().for_each(|_| self.parser.advance_token());
        }
        found
    }

    pub(super) fn peek_word(&self, word: &str) -> bool {
        super::script::is_word(self.parser.peek_token_ref(), word)
    }

    pub(super) fn peek_query(&self) -> bool {
        ["SELECT", "WITH", "VALUES"].iter().any(|word| self.peek_word(word))
    }

    pub(super) fn expect_word(&mut self, word: &str) -> Result<Span, PlanError> {
        let span = self.parser.peek_token_ref().span;
        match self.word(word) {
            true => Ok(span),
            false => Err(self.unexpected(word)),
        }
    }

    pub(super) fn expect(&mut self, token: &Token) -> Result<Span, PlanError> {
        let span = self.parser.peek_token_ref().span;
        match self.parser.consume_token(token) {
            true => Ok(span),
            false => Err(self.unexpected(&format!("`{token}`"))),
        }
    }

    pub(super) fn expect_end(&self) -> Result<(), PlanError> {
        match self.parser.peek_token_ref().token {
            Token::EOF => Ok(()),
            _ => Err(self.unexpected("the end of the statement")),
        }
    }

    /// The next token is not `expected`.
    pub(super) fn unexpected(&self, expected: &str) -> PlanError {
        let token = self.parser.peek_token_ref();
        match &token.token {
            Token::EOF => {
                PlanError::syntax(format!("expected {expected}, but the statement ends")).at(self.end())
            }
            found => PlanError::syntax(format!("expected {expected}, found {found}")).at(token.span),
        }
    }

    fn end(&self) -> Span {
        let last = self.tokens.iter().rev().find(|token| !is_blank(token));
        last.map_or(Span::empty(), |token| Span::new(token.span.end, token.span.end))
    }

    /// The text from `span` to the end of the statement.
    pub(super) fn rest_from(&self, span: Span) -> &str {
        self.script.text(span, self.end())
    }

    /// The first `count` words of the statement, in capitals, up to a name.
    fn leading_words(&self, count: usize) -> String {
        let words = self.tokens.iter().filter(|token| !is_blank(token)).take(count);
        let is_keyword = |token: &TokenWithSpan| match &token.token {
            Token::Word(word) => word.keyword != Keyword::NoKeyword && word.quote_style.is_none(),
            _ => false,
        };
        let words = words.enumerate().take_while(|(place, token)| *place == 0 || is_keyword(token));
        words.map(|(_, token)| token.token.to_string().to_uppercase()).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn convert(&self, error: ParserError) -> PlanError {
        convert(error, self.tokens)
    }

    pub(super) fn string(&mut self) -> Result<Text, PlanError> {
        let token = self.parser.peek_token();
        let value = match token.token {
            Token::SingleQuotedString(value) | Token::UnicodeStringLiteral(value) => value,
            _ => return Err(self.unexpected("a string in single quotes")),
        };
        self.parser.advance_token();
        Ok(Text { value, span: token.span })
    }

    pub(super) fn ident(&mut self) -> Result<Ident, PlanError> {
        match &self.parser.peek_token_ref().token {
            Token::Word(_) => self.parser.parse_identifier().map_err(|error| self.convert(error)),
            _ => Err(self.unexpected("a name")),
        }
    }

    /// `(a, b, ..)`
    pub(super) fn idents(&mut self) -> Result<Vec<Ident>, PlanError> {
        self.expect(&Token::LParen)?;
        let mut idents = vec![self.ident()?];
        while self.parser.consume_token(&Token::Comma) {
            idents.push(self.ident()?);
        }
        self.expect(&Token::RParen)?;
        Ok(idents)
    }

    /// `[[catalog.]database.]name`
    pub(super) fn name(&mut self) -> Result<ObjectName, PlanError> {
        let mut parts = vec![ObjectNamePart::Identifier(self.ident()?)];
        while self.parser.consume_token(&Token::Period) {
            parts.push(ObjectNamePart::Identifier(self.ident()?));
        }
        Ok(ObjectName(parts))
    }

    pub(super) fn expr(&mut self) -> Result<Expr, PlanError> {
        self.parser.parse_expr().map_err(|error| self.convert(error))
    }

    pub(super) fn query(&mut self) -> Result<Box<Query>, PlanError> {
        self.parser.parse_query().map_err(|error| self.convert(error))
    }

    /// A query and its text.
    pub(super) fn query_with_text(&mut self) -> Result<(Box<Query>, String), PlanError> {
        let start = self.parser.peek_token().span;
        let query = self.query()?;
        let end = self.parser.get_current_token().span;
        Ok((query, self.script.text(start, end).to_string()))
    }

    /// `('k' = 'v', ..)`
    pub(super) fn properties(&mut self) -> Result<Vec<Property>, PlanError> {
        self.expect(&Token::LParen)?;
        let mut properties: Vec<Property> = vec![];
        if self.parser.consume_token(&Token::RParen) {
            return Ok(properties);
        }
        loop {
            let key = self.string()?;
            self.expect(&Token::Eq)?;
            let value = self.string()?;
            if properties.iter().any(|property| property.key.value == key.value) {
                return Err(PlanError::invalid(format!("option '{}' is given twice", key.value)).at(key.span));
            }
            properties.push(Property { key, value });
            if !self.parser.consume_token(&Token::Comma) {
                break;
            }
        }
        self.expect(&Token::RParen)?;
        Ok(properties)
    }
}
