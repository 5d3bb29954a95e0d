//! The statements of a manifest.

use super::lexer::{Lexer, Token};
use super::text::{Rule, ScopeId, Scopes, Text};
use super::{Edge, Limits, Manifest, ManifestError, Message, Quoting, Reader, canonical};
use airtight_recording::{PathId, Paths};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

/// The variables that a rule can have; others are an error, as in ninja.
const OF_RULES: [&[u8]; 11] = [
    b"command",
    b"depfile",
    b"deps",
    b"description",
    b"dyndep",
    b"generator",
    b"msvc_deps_prefix",
    b"pool",
    b"restat",
    b"rspfile",
    b"rspfile_content",
];

pub(super) fn read(
    file: &[u8],
    read: &mut Reader<'_>,
    limits: Limits,
) -> Result<Manifest, ManifestError> {
    let mut parser = Parser {
        read,
        limits,
        manifest: Manifest {
            names: Paths::default(),
            edges: Vec::new(),
            files: Vec::new(),
            makers: HashMap::new(),
            scopes: Scopes::new(),
            longest: limits.value,
        },
        pools: HashSet::from([Vec::new(), b"console".to_vec()]),
    };
    let text = parser.load(file).map_err(|message| ManifestError {
        file: String::from_utf8_lossy(file).into_owned(),
        line: 1,
        message,
    })?;
    parser.file(&text, Scopes::ROOT, 1)?;
    Ok(parser.manifest)
}

struct Parser<'p, 'r> {
    read: &'p mut Reader<'r>,
    /// What is still allowed.
    limits: Limits,
    manifest: Manifest,
    pools: HashSet<Vec<u8>>,
}

/// Where the parser is.
struct At<'a> {
    lexer: Lexer<'a>,
    scope: ScopeId,
    /// The index of the file.
    file: u32,
    /// How many files include one another.
    depth: u32,
}

/// What is wrong, and where: at the last token, on a line of this file, or in another file.
enum Fault {
    Here(Message),
    Line(u32, Message),
    Elsewhere(ManifestError),
}

impl<T: Into<Message>> From<T> for Fault {
    fn from(message: T) -> Fault {
        Fault::Here(message.into())
    }
}

impl Parser<'_, '_> {
    fn load(&mut self, name: &[u8]) -> Result<Vec<u8>, Message> {
        self.limits.files =
            self.limits.files.checked_sub(1).ok_or("more files than Airtight reads")?;
        let text = (self.read)(name)
            .map_err(|error| format!("can't read {}: {error}", String::from_utf8_lossy(name)))?;
        self.spend(text.len())?;
        self.manifest.files.push(name.to_vec());
        Ok(text)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Message> {
        let left = self.limits.bytes.checked_sub(bytes);
        self.limits.bytes = left.ok_or("more text than Airtight reads")?;
        Ok(())
    }

    /// Reads the file that [`Parser::load`] loaded last.
    fn file(&mut self, text: &[u8], scope: ScopeId, depth: u32) -> Result<(), ManifestError> {
        let file = u32::try_from(self.manifest.files.len() - 1).unwrap_or(u32::MAX);
        let mut at = At { lexer: Lexer::new(text), scope, file, depth };
        self.statements(&mut at).map_err(|fault| {
            let (line, message) = match fault {
                Fault::Elsewhere(error) => return error,
                Fault::Here(message) => (at.lexer.line(), message),
                Fault::Line(line, message) => (line, message),
            };
            let file = String::from_utf8_lossy(&self.manifest.files[file as usize]).into_owned();
            ManifestError { file, line, message }
        })
    }

    fn statements(&mut self, at: &mut At<'_>) -> Result<(), Fault> {
        loop {
            match at.lexer.token() {
                Token::Newline => {}
                Token::End => return Ok(()),
                Token::Build => self.build(at)?,
                Token::Rule => self.rule(at)?,
                Token::Pool => self.pool(at)?,
                Token::Default => self.default(at)?,
                Token::Include => self.include(at, at.scope)?,
                Token::Subninja => {
                    let scope = self.manifest.scopes.inner(at.scope);
                    self.include(at, scope)?;
                }
                Token::Name => {
                    at.lexer.unread();
                    let (name, text) = binding(&mut at.lexer)?;
                    let value = self.expand(at.scope, &text)?;
                    self.manifest.scopes.bind(at.scope, name, value);
                }
                token => return Err(format!("unexpected {}", token.name()).into()),
            }
        }
    }

    fn expand(&mut self, scope: ScopeId, text: &Text) -> Result<Vec<u8>, Message> {
        let value = self.manifest.scopes.expand(scope, text, self.limits.value)?;
        self.spend(value.len())?;
        Ok(value)
    }

    fn rule(&mut self, at: &mut At<'_>) -> Result<(), Fault> {
        let line = at.lexer.line();
        let name = at.lexer.name().ok_or("expected the name of a rule")?.to_vec();
        expect(&mut at.lexer, Token::Newline)?;
        let mut rule = Rule { name, bindings: Vec::new() };
        while at.lexer.take(Token::Indent) {
            let (key, text) = binding(&mut at.lexer)?;
            if !OF_RULES.contains(&key) {
                let key = String::from_utf8_lossy(key);
                return Err(format!("`{key}` is no variable of a rule").into());
            }
            rule.bindings.push((key.to_vec(), text));
        }
        if rule.get(b"command").is_none_or(Text::is_empty) {
            return Err(Fault::Line(line, "a rule without `command =`".into()));
        }
        let shown = String::from_utf8_lossy(&rule.name).into_owned();
        if !self.manifest.scopes.add_rule(at.scope, rule) {
            return Err(Fault::Line(line, format!("there is a rule `{shown}` already").into()));
        }
        Ok(())
    }

    fn pool(&mut self, at: &mut At<'_>) -> Result<(), Fault> {
        let name = at.lexer.name().ok_or("expected the name of a pool")?.to_vec();
        expect(&mut at.lexer, Token::Newline)?;
        while at.lexer.take(Token::Indent) {
            let (key, _) = binding(&mut at.lexer)?;
            if key != b"depth" {
                let key = String::from_utf8_lossy(key);
                return Err(format!("`{key}` is no variable of a pool").into());
            }
        }
        self.pools.insert(name);
        Ok(())
    }

    /// What is built when nothing is asked for says nothing about edges: only its form is checked.
    fn default(&mut self, at: &mut At<'_>) -> Result<(), Fault> {
        if paths(&mut at.lexer)?.is_empty() {
            return Err("expected the name of a target".into());
        }
        expect(&mut at.lexer, Token::Newline)
    }

    fn include(&mut self, at: &mut At<'_>, scope: ScopeId) -> Result<(), Fault> {
        let text = at.lexer.path()?;
        let name = self.expand(at.scope, &text)?;
        if name.is_empty() {
            return Err("expected the name of a file".into());
        }
        if at.depth >= self.limits.depth {
            return Err("files include one another too deeply".into());
        }
        let text = self.load(&name)?;
        self.file(&text, scope, at.depth + 1).map_err(Fault::Elsewhere)?;
        expect(&mut at.lexer, Token::Newline)
    }

    fn build(&mut self, at: &mut At<'_>) -> Result<(), Fault> {
        let line = at.lexer.line();
        let mut outputs = paths(&mut at.lexer)?;
        let written = outputs.len();
        if at.lexer.take(Token::Pipe) {
            outputs.extend(paths(&mut at.lexer)?);
        }
        if outputs.is_empty() {
            return Err("expected the name of an output".into());
        }
        expect(&mut at.lexer, Token::Colon)?;
        let rule = at.lexer.name().ok_or("expected the name of a rule")?;
        let rule = self.manifest.scopes.find_rule(at.scope, rule).ok_or_else(|| {
            Message::from(format!("there is no rule `{}`", String::from_utf8_lossy(rule)))
        })?;
        let mut inputs = paths(&mut at.lexer)?;
        let explicit = inputs.len();
        if at.lexer.take(Token::Pipe) {
            inputs.extend(paths(&mut at.lexer)?);
        }
        let order_only = inputs.len();
        if at.lexer.take(Token::DoublePipe) {
            inputs.extend(paths(&mut at.lexer)?);
        }
        // Validations are built as well, in no order: they are no inputs.
        if at.lexer.take(Token::PipeAt) {
            paths(&mut at.lexer)?;
        }
        expect(&mut at.lexer, Token::Newline)?;

        let mut scope = at.scope;
        while at.lexer.take(Token::Indent) {
            let (name, text) = binding(&mut at.lexer)?;
            if scope == at.scope {
                scope = self.manifest.scopes.inner(at.scope);
            }
            let value = self.expand(at.scope, &text)?;
            self.manifest.scopes.bind(scope, name, value);
        }

        let mut edge = Edge {
            file: at.file,
            line,
            outputs: Vec::with_capacity(outputs.len()),
            explicit_outputs: 0,
            inputs: Vec::new(),
            explicit,
            order_only,
            rule,
            scope,
        };
        self.edge(&mut edge, &outputs, written, &inputs).map_err(|what| Fault::Line(line, what))?;
        if !edge.outputs.is_empty() {
            self.manifest.edges.push(edge);
        }
        Ok(())
    }

    /// Gives an edge its names. The first of `outputs` are the explicit ones.
    fn edge(
        &mut self,
        edge: &mut Edge,
        outputs: &[Text],
        explicit: usize,
        inputs: &[Text],
    ) -> Result<(), Message> {
        edge.inputs = self.names(edge.scope, inputs)?;
        let number = u32::try_from(self.manifest.edges.len()).unwrap_or(u32::MAX);
        for (index, output) in self.names(edge.scope, outputs)?.into_iter().enumerate() {
            if let Entry::Vacant(entry) = self.manifest.makers.entry(output) {
                entry.insert(number);
                edge.outputs.push(output);
                edge.explicit_outputs += usize::from(index < explicit);
            }
        }
        if edge.is_phony() && edge.outputs.len() == 1 && edge.explicit == edge.order_only {
            forget_itself(edge);
        }
        let pool = self.manifest.binding(edge, b"pool", Quoting::Shell)?;
        if !self.pools.contains(&pool) {
            return Err(format!("there is no pool `{}`", String::from_utf8_lossy(&pool)).into());
        }
        Ok(())
    }

    fn names(&mut self, scope: ScopeId, texts: &[Text]) -> Result<Vec<PathId>, Message> {
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            let name = self.manifest.scopes.expand(scope, text, self.limits.value)?;
            if name.is_empty() {
                return Err("the name of a file is empty".into());
            }
            let name = canonical(&name);
            if self.manifest.names.find(&name).is_none() {
                self.spend(name.len())?;
            }
            ids.push(self.manifest.names.intern(&name));
        }
        Ok(ids)
    }
}

/// CMake up to 3.0 writes phony edges that depend on themselves; ninja forgets that input.
fn forget_itself(edge: &mut Edge) {
    let before = edge.inputs.len();
    let output = edge.outputs[0];
    let explicit = edge.inputs[..edge.explicit].iter().filter(|&&id| id != output).count();
    edge.inputs.retain(|&id| id != output);
    if edge.inputs.len() != before {
        (edge.explicit, edge.order_only) = (explicit, explicit);
    }
}

fn expect(lexer: &mut Lexer<'_>, token: Token) -> Result<(), Fault> {
    match lexer.token() {
        found if found == token => Ok(()),
        found => Err(format!("expected {}, got {}", token.name(), found.name()).into()),
    }
}

/// `name = value`, with the line end.
fn binding<'a>(lexer: &mut Lexer<'a>) -> Result<(&'a [u8], Text), Fault> {
    let name = lexer.name().ok_or("expected the name of a variable")?;
    expect(lexer, Token::Equals)?;
    Ok((name, lexer.value()?))
}

/// Names up to the next sign or the line end.
fn paths(lexer: &mut Lexer<'_>) -> Result<Vec<Text>, Message> {
    let mut paths = Vec::new();
    loop {
        let path = lexer.path()?;
        if path.is_empty() {
            return Ok(paths);
        }
        paths.push(path);
    }
}
