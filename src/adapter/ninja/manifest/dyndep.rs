//! Dyndep files: inputs and outputs that an edge learns of while the build runs (ninja manual,
//! "Dynamic dependencies").

use super::lexer::{Lexer, Token};
use super::text::{Scopes, Text};
use super::{ManifestError, Message, canonical};

/// What a dyndep file says of one edge. Names are in canonical form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dyndep {
    /// An output of the edge that is meant.
    pub(crate) of: Vec<u8>,
    /// What it makes besides.
    pub(crate) outputs: Vec<Vec<u8>>,
    /// What it depends on besides.
    pub(crate) inputs: Vec<Vec<u8>>,
}

/// Reads the dyndep file `name`.
///
/// # Errors
/// When it says something that ninja does not take either.
pub(crate) fn read(name: &[u8], text: &[u8]) -> Result<Vec<Dyndep>, ManifestError> {
    let mut lexer = Lexer::new(text);
    statements(&mut lexer).map_err(|message| ManifestError {
        file: String::from_utf8_lossy(name).into_owned(),
        line: lexer.line(),
        message,
    })
}

fn statements(lexer: &mut Lexer<'_>) -> Result<Vec<Dyndep>, Message> {
    let mut found = Vec::new();
    loop {
        match lexer.token() {
            Token::Newline => {}
            Token::End => return Ok(found),
            // Its version, the only variable it can have.
            Token::Name => {
                expect(lexer, Token::Equals)?;
                lexer.value()?;
            }
            Token::Build => found.push(build(lexer)?),
            token => return Err(format!("unexpected {}", token.name()).into()),
        }
    }
}

fn build(lexer: &mut Lexer<'_>) -> Result<Dyndep, Message> {
    let names = |lexer: &mut Lexer<'_>| -> Result<Vec<Vec<u8>>, Message> {
        let mut names = Vec::new();
        loop {
            let text = lexer.path()?;
            if text.is_empty() {
                return Ok(names);
            }
            names.push(canonical(&literal(&text)?));
        }
    };
    let Ok([of]) = <[Vec<u8>; 1]>::try_from(names(lexer)?) else {
        return Err("expected one output".into());
    };
    let outputs = if lexer.take(Token::Pipe) { names(lexer)? } else { Vec::new() };
    expect(lexer, Token::Colon)?;
    if lexer.name() != Some(b"dyndep") {
        return Err("expected the rule `dyndep`".into());
    }
    if !names(lexer)?.is_empty() {
        return Err("explicit inputs".into());
    }
    let inputs = if lexer.take(Token::Pipe) { names(lexer)? } else { Vec::new() };
    expect(lexer, Token::Newline)?;
    while lexer.take(Token::Indent) {
        lexer.name().ok_or("expected the name of a variable")?;
        expect(lexer, Token::Equals)?;
        lexer.value()?;
    }
    Ok(Dyndep { of, outputs, inputs })
}

/// No variable has a value here.
fn literal(text: &Text) -> Result<Vec<u8>, Message> {
    Scopes::new().expand(Scopes::ROOT, text, 1 << 16)
}

fn expect(lexer: &mut Lexer<'_>, token: Token) -> Result<(), Message> {
    match lexer.token() {
        found if found == token => Ok(()),
        found => Err(format!("expected {}, got {}", token.name(), found.name()).into()),
    }
}
