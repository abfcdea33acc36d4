package mapping

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// functions are what expressions may call beside CEL's own. None takes longer, or gives more, than its arguments are long, but for replace, which has a bound.
func functions() []cel.EnvOption {
	text, number := cel.StringType, cel.IntType
	member := func(name, id string, arguments []*cel.Type, result *cel.Type, f func(args ...ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.MemberOverload(id, arguments, result, cel.FunctionBinding(f)))
	}
	return []cel.EnvOption{
		member("lowerAscii", "text_lower_ascii", []*cel.Type{text}, text, func(args ...ref.Val) ref.Val { return types.String(strings.Map(lower, str(args[0]))) }),
		member("upperAscii", "text_upper_ascii", []*cel.Type{text}, text, func(args ...ref.Val) ref.Val { return types.String(strings.Map(upper, str(args[0]))) }),
		member("trim", "text_trim", []*cel.Type{text}, text, func(args ...ref.Val) ref.Val { return types.String(strings.TrimSpace(str(args[0]))) }),
		member("split", "text_split", []*cel.Type{text, text}, cel.ListType(text), func(args ...ref.Val) ref.Val {
			return types.NewStringList(types.DefaultTypeAdapter, strings.Split(str(args[0]), str(args[1])))
		}),
		member("replace", "text_replace", []*cel.Type{text, text, text}, text, func(args ...ref.Val) ref.Val { return replace(str(args[0]), str(args[1]), str(args[2])) }),
		member("substring", "text_substring", []*cel.Type{text, number}, text, func(args ...ref.Val) ref.Val { return substring(str(args[0]), args[1], nil) }),
		member("substring", "text_substring_to", []*cel.Type{text, number, number}, text, func(args ...ref.Val) ref.Val { return substring(str(args[0]), args[1], args[2]) }),
		cel.Function("json", cel.Overload("json_text", []*cel.Type{text}, cel.DynType, cel.UnaryBinding(func(arg ref.Val) ref.Val {
			v, err := decode([]byte(str(arg)))
			if err != nil {
				return failed("json: %v", err)
			}
			return types.DefaultTypeAdapter.NativeToValue(v)
		}))),
	}
}

// costs charges a call of one of our functions for the texts that it reads and makes, a tenth of a unit a byte, as CEL charges its own.
func costs() []cost.TrackerOption {
	charge := func(args []ref.Val, result ref.Val) *uint64 {
		bytes := size(result)
		for _, arg := range args {
			bytes += size(arg)
		}
		units := uint64(1 + bytes/10)
		return &units
	}
	var options []cost.TrackerOption
	for _, id := range []string{"text_lower_ascii", "text_upper_ascii", "text_trim", "text_split", "text_replace", "text_substring", "text_substring_to", "json_text"} {
		options = append(options, cost.OverloadTracker(id, charge))
	}
	return options
}

func size(v ref.Val) int {
	s, _ := v.(types.String)
	return len(s)
}

// str is an argument that the checker, or the call's dispatch where it has no type before, has made sure of.
func str(v ref.Val) string {
	s, _ := v.(types.String)
	return string(s)
}

func lower(r rune) rune {
	if 'A' <= r && r <= 'Z' {
		return r + 'a' - 'A'
	}
	return r
}

func upper(r rune) rune {
	if 'a' <= r && r <= 'z' {
		return r - 'a' + 'A'
	}
	return r
}

func replace(s, old, by string) ref.Val {
	if grown := len(s) + strings.Count(s, old)*(len(by)-len(old)); grown > MaxText {
		return failed("replace: would give a text of %d bytes, at most %d are allowed", grown, MaxText)
	}
	return types.String(strings.ReplaceAll(s, old, by))
}

// substring counts characters, as CEL's size does.
func substring(s string, from, to ref.Val) ref.Val {
	length := int64(utf8.RuneCountInString(s))
	begin, _ := from.(types.Int)
	end := types.Int(length)
	if to != nil {
		end, _ = to.(types.Int)
	}
	if begin < 0 || end < begin || int64(end) > length {
		return failed("substring: %s: the text has %d characters", span(begin, end, to != nil), length)
	}
	return types.String([]rune(s)[begin:end])
}

func span(begin, end types.Int, both bool) string {
	if both {
		return fmt.Sprintf("from %d to %d", begin, end)
	}
	return fmt.Sprintf("from %d", begin)
}

// textError is an error of one of these functions: it quotes nothing of a delivery.
type textError struct{ text string }

func (e *textError) Error() string { return e.text }

func failed(format string, args ...any) ref.Val {
	return types.WrapErr(&textError{fmt.Sprintf(format, args...)})
}
