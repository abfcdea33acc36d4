package mapping

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/interpreter"

	"waypost/configs"
)

// Bounds of evaluation. A usual expression costs less than 20 units.
const (
	maxCost      = 50_000    // of one evaluation, in CEL's units
	maxTotalCost = 1_000_000 // of a delivery
	maxSize      = 500_000   // of a value: its members, and a tenth of its bytes
	maxRegexp    = 200       // instructions of a compiled regular expression
	maxNesting   = 60        // of brackets and operators in an expression
	checkEvery   = 100       // rounds of a list's macro between two looks at the deadline
)

// environment is the same for all expressions. Building it takes milliseconds, so only who has parsers does.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(append(functions(),
		cel.OptionalTypes(), cel.Variable(bodyName, cel.DynType), cel.Variable(itemName, cel.DynType), cel.DefaultUTCTimeZone(true),
		cel.RegexProgramSizeLimit(maxRegexp), cel.ParserRecursionLimit(maxNesting), cel.ParserExpressionSizeLimit(configs.MaxExpression), cel.ParserErrorRecoveryLimit(5),
	)...)
})

// The variables of expressions.
const (
	bodyName = "body"
	itemName = "item"
)

// expression is one compiled expression of a parser.
type expression struct {
	key     string
	text    string
	program cel.Program
	source  *ast.SourceInfo
}

// Fault is a mistake in an expression, or a delivery that it does not fit.
type Fault struct {
	Key          string // of the parser's settings
	Text         string // the expression
	Line, Column int    // in the expression, from 1; 0: the expression as a whole
	Problem      string
}

// Error is the fault in one line.
func (f *Fault) Error() string {
	if f.Line == 0 {
		return f.Key + ": " + f.Problem
	}
	return fmt.Sprintf("%s: line %d, column %d: %s", f.Key, f.Line, f.Column, f.Problem)
}

// compile gives the expression and its tree, or every mistake in it. form is what it may give.
func compile(key, text string, form form) (*expression, ast.Expr, []*Fault) {
	env, err := environment()
	if err != nil {
		panic("BUG: " + err.Error())
	}
	checked, issues := env.Compile(text)
	if issues.Err() != nil {
		return nil, nil, faults(key, text, issues.Errors())
	}
	if is := checked.OutputType(); !form.takes(is) {
		return nil, nil, []*Fault{{Key: key, Text: text, Line: 1, Column: 1, Problem: fmt.Sprintf("must give %s, gives %s", form.want, cel.FormatCELType(is))}}
	}
	program, err := env.Program(checked,
		cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost), cel.CostTrackerOptions(costs()...), cel.InterruptCheckFrequency(checkEvery),
		cel.MemoryTracking(types.MemoryTrackerSizeCalculator(types.NewSizeCalculator(types.SizeCalculatorMaxDepth(2*maxDepth), types.SizeCalculatorMaxTraversal(maxSize)))),
		cel.MemoryLimit(maxSize))
	if err != nil { // a constant that cannot be: a regular expression with a mistake, a text that is no time
		return nil, nil, []*Fault{{Key: key, Text: text, Line: 1, Column: 1, Problem: err.Error()}}
	}
	native := checked.NativeRep()
	return &expression{key, text, program, native.SourceInfo()}, native.Expr(), nil
}

func faults(key, text string, found []*cel.Error) []*Fault {
	list := make([]*Fault, 0, len(found))
	for _, e := range found {
		f := &Fault{Key: key, Text: text, Problem: plain(e.Message)}
		f.Line, f.Column = position(e.Location)
		list = append(list, f)
	}
	return list
}

// position counts columns from 1, as editors do.
func position(at common.Location) (line, column int) {
	if at.Line() <= 0 {
		return 1, 1
	}
	return at.Line(), max(at.Column(), 0) + 1
}

var undeclared = regexp.MustCompile(`^undeclared reference to '([^']*)'`)

// plain puts CEL's most frequent message into the words of its readers.
func plain(message string) string {
	message = undeclared.ReplaceAllString(message, "unknown name $1")
	if strings.HasPrefix(message, "unknown name ") && !strings.Contains(message, "did you mean") {
		message += "; there are body, item, and CEL's functions"
	}
	return strings.ReplaceAll(message, "\n", " ")
}

// evaluate gives the value, nil for an optional that is none and for null.
func (e *expression) evaluate(ctx context.Context, d *delivery) (ref.Val, error) {
	v, details, err := e.program.ContextEval(ctx, d.variables)
	if details != nil && details.ActualCost() != nil {
		d.cost += *details.ActualCost()
	}
	if err != nil {
		return nil, e.failed(err)
	}
	if d.cost > maxTotalCost {
		return nil, e.fault("the parser's expressions take too long on this delivery")
	}
	if optional, ok := v.(*types.Optional); ok {
		if !optional.HasValue() {
			return nil, nil
		}
		v = optional.GetValue()
	}
	if v == nil || v.Type() == types.NullType {
		return nil, nil
	}
	return v, nil
}

// fault is one of the expression as a whole.
func (e *expression) fault(format string, args ...any) *Fault {
	return &Fault{Key: e.key, Text: e.text, Problem: fmt.Sprintf(format, args...)}
}

// failed says which part of the expression does not fit the delivery. Errors are logged: they may name members, and no values.
func (e *expression) failed(err error) *Fault {
	f := &Fault{Key: e.key, Text: e.text, Problem: values.ReplaceAllString(strings.ReplaceAll(err.Error(), "\n", " "), `"..."`)}
	var failure *types.Err
	if errors.As(err, &failure) {
		if at := e.source.GetStartLocation(failure.NodeID()); at.Line() > 0 {
			f.Line, f.Column = position(at)
		}
	}
	var cancelled interpreter.EvalCancelledError
	switch {
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.MemoryLimitExceeded:
		f.Problem = "a value becomes too large"
	case errors.As(err, &cancelled) && cancelled.Cause == interpreter.CostLimitExceeded, errors.Is(err, interpreter.InterruptError{}), errors.Is(err, context.DeadlineExceeded):
		f.Problem = "takes too long on this delivery"
	case failure == nil:
	case strings.HasPrefix(failure.Error(), noSuchKey):
		f.Problem = missing(strings.TrimPrefix(failure.Error(), noSuchKey), e.text)
	case strings.HasPrefix(failure.Error(), "no such overload"):
		f.Problem = "a member has another type here than the expression wants, or is null"
	case errors.As(err, new(*textError)):
		f.Problem = failure.Error()
	}
	return f
}

const noSuchKey = "no such key: "

// values are what CEL's errors may quote of a delivery.
var values = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|'[^']*'`)

// missing tells of a member that is not there. Its name is told where the expression has it, and not where it comes from the delivery.
func missing(name, text string) string {
	if !strings.Contains(text, name) {
		return "the delivery has no member of that name here"
	}
	return fmt.Sprintf("the delivery has no member %s here; .?%s in place of .%s allows for that", name, name, name)
}

// results calls visit with every part of an expression that can be what it gives: those of a ternary, else the whole.
func results(e ast.Expr, visit func(ast.Expr)) {
	if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.Conditional {
		results(e.AsCall().Args()[1], visit)
		results(e.AsCall().Args()[2], visit)
		return
	}
	visit(e)
}
