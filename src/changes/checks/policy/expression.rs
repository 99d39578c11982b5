//! One CEL expression: refused where it cannot be meant or could take for ever, judged over two objects. Pure.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Context, Program, Value as CelValue,
    common::ast::{EntryExpr, Expr, IdedExpr},
};
use serde_json::Value;

/// Characters: what a person reads.
const LONGEST: usize = 4096;
/// Loops inside of each other (`all`, `exists`, `map`...): each multiplies by the length of a list.
const DEEPEST: usize = 3;
const NAMES: [&str; 2] = ["object", "oldObject"];
/// What stands for a type in an expression.
const TYPES: [&str; 11] =
    ["bool", "bytes", "double", "duration", "dyn", "int", "list", "map", "null_type", "string", "type"];

/// Steps that judging one object may take, reckoned before it begins: CEL here cannot be stopped in between. About a
/// second at most.
const STEPS: f64 = 5e6;

/// Compiles; is compiled anew for each use, which takes microseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expression {
    source: String,
    cost: Cost,
}

/// What judging costs, by the size of what is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    nodes: usize,
    /// Loops inside of each other.
    deepest: usize,
    /// `+` may make one list of two.
    sums: usize,
    /// Of the lists in the expression itself.
    longest: usize,
}

impl Cost {
    fn steps(self, object: &Value, old: &Value) -> f64 {
        let longest = self.longest.max(longest(object)).max(longest(old)).max(1);
        #[allow(clippy::cast_precision_loss, reason = "a reckoning")]
        let (nodes, turns) = (self.nodes as f64, (longest * (self.sums + 1)) as f64);
        nodes * turns.powi(i32::try_from(self.deepest).unwrap_or(i32::MAX))
    }
}

/// The longest list or mapping in a value.
fn longest(value: &Value) -> usize {
    match value {
        Value::Object(fields) => fields.values().map(longest).fold(fields.len(), usize::max),
        Value::Array(items) => items.iter().map(longest).fold(items.len(), usize::max),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    True,
    False,
    /// It came to an error, or to something else than true or false.
    Unknown(String),
}

impl Expression {
    /// # Errors
    /// The end of a sentence that says where and why it is refused.
    pub(super) fn compile(source: &str) -> Result<Self, String> {
        if source.chars().count() > LONGEST {
            return Err(format!("is longer than {LONGEST} characters"));
        }
        let program = Program::compile(source).map_err(|errors| match errors.errors.first() {
            Some(error) => {
                let (line, column) = error.pos;
                format!("is no CEL at line {line}, column {column}: {}", error.msg)
            }
            None => "is no CEL".to_owned(),
        })?;
        let mut walk = Walk { bound: Vec::new(), cost: Cost::default(), unknown: None };
        walk.through(program.expression(), 0);
        if let Some(name) = walk.unknown {
            return Err(format!("names `{name}`, which is not there: it has {}", NAMES.join(" and ")));
        }
        let cost = walk.cost;
        if cost.deepest > DEEPEST {
            return Err(format!("has {} loops inside of each other; {DEEPEST} are the most", cost.deepest));
        }
        Ok(Self { source: source.to_owned(), cost })
    }

    pub(super) fn judge(&self, object: &Value, old: &Value) -> Verdict {
        if self.cost.steps(object, old) > STEPS {
            return Verdict::Unknown(
                "with lists as long as these it takes too many steps: put fewer loops inside of each other".to_owned(),
            );
        }
        let program = match Program::compile(&self.source) {
            Ok(program) => program,
            Err(errors) => return Verdict::Unknown(errors.to_string()),
        };
        let mut context = Context::default();
        context.add_variable_from_value("object", cel(object));
        context.add_variable_from_value("oldObject", cel(old));
        match program.execute(&context) {
            Ok(CelValue::Bool(true)) => Verdict::True,
            Ok(CelValue::Bool(false)) => Verdict::False,
            Ok(_) => Verdict::Unknown("it is neither true nor false".to_owned()),
            Err(error) => Verdict::Unknown(error.to_string()),
        }
    }
}

/// Whole numbers are `int` in CEL, whatever their sign, as the API server has them.
fn cel(value: &Value) -> CelValue {
    match value {
        Value::Null => CelValue::Null,
        Value::Bool(value) => CelValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => CelValue::Int(whole),
            None => CelValue::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => CelValue::String(Arc::new(text.clone())),
        Value::Array(items) => CelValue::List(Arc::new(items.iter().map(cel).collect())),
        Value::Object(fields) => {
            let fields: HashMap<String, CelValue> =
                fields.iter().map(|(key, value)| (key.clone(), cel(value))).collect();
            CelValue::from(fields)
        }
    }
}

/// Looks for names that nothing gives, and at how deep loops go.
struct Walk {
    bound: Vec<String>,
    cost: Cost,
    unknown: Option<String>,
}

impl Walk {
    fn through(&mut self, node: &IdedExpr, depth: usize) {
        self.cost.nodes += 1;
        self.cost.deepest = self.cost.deepest.max(depth);
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                let known = NAMES.contains(&name.as_str())
                    || TYPES.contains(&name.as_str())
                    || self.bound.contains(name);
                if !known && self.unknown.is_none() {
                    self.unknown = Some(name.clone());
                }
            }
            Expr::Select(select) => self.through(&select.operand, depth),
            Expr::Call(call) => {
                self.cost.sums += usize::from(call.func_name == "_+_");
                let target = call.target.as_deref().into_iter();
                target.chain(&call.args).for_each(|part| self.through(part, depth));
            }
            Expr::List(list) => {
                self.cost.longest = self.cost.longest.max(list.elements.len());
                list.elements.iter().for_each(|item| self.through(item, depth));
            }
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr, depth)),
            Expr::Struct(made) => made.entries.iter().for_each(|entry| self.entry(&entry.expr, depth)),
            Expr::Comprehension(each) => {
                self.through(&each.iter_range, depth);
                self.through(&each.accu_init, depth);
                let before = self.bound.len();
                self.bound.extend([each.iter_var.clone(), each.accu_var.clone()]);
                self.bound.extend(each.iter_var2.clone());
                for part in [&each.loop_cond, &each.loop_step, &each.result] {
                    self.through(part, depth + 1);
                }
                self.bound.truncate(before);
            }
        }
    }

    fn entry(&mut self, entry: &EntryExpr, depth: usize) {
        match entry {
            EntryExpr::StructField(field) => self.through(&field.value, depth),
            EntryExpr::MapEntry(entry) => {
                self.through(&entry.key, depth);
                self.through(&entry.value, depth);
            }
        }
    }
}
