package layout

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"

	"golang.org/x/tools/go/packages"
)

// reserved finds what is left to other packages. It asks the type checker what a name means, so an alias or a method value hides nothing.
func reserved(pkg *packages.Package, name string) []string {
	called := map[*ast.Ident]bool{}
	for _, file := range pkg.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if id := identifier(call.Fun); id != nil {
					called[id] = true
				}
			}
			return true
		})
	}
	var faults []string
	for id, object := range pkg.TypesInfo.Uses {
		function, ok := object.(*types.Func)
		if !ok {
			continue
		}
		for _, u := range uses {
			if _, left := u.leftTo[name]; left || !slices.Contains(u.of, function.FullName()) {
				continue
			}
			switch {
			case !u.asValue:
				faults = append(faults, fmt.Sprintf("%s: uses %s: %s", at(pkg, id), function.FullName(), u.why))
			case called[id]:
				faults = append(faults, fmt.Sprintf("%s: calls %s: %s", at(pkg, id), function.FullName(), u.why))
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// state finds package variables that change after they have been declared: state that every server in the process would share.
func state(pkg *packages.Package) []string {
	var faults []string
	changed := func(target ast.Expr) {
		id := variable(target)
		if id == nil {
			return
		}
		object := pkg.TypesInfo.Uses[id]
		if _, ok := object.(*types.Var); ok && object.Parent() == pkg.Types.Scope() {
			faults = append(faults, fmt.Sprintf("%s: assigns to the package's variable %s: state belongs into a struct", at(pkg, id), id.Name))
		}
	}
	for _, file := range pkg.Syntax {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, target := range n.Lhs {
					changed(target)
				}
			case *ast.IncDecStmt:
				changed(n.X)
			}
			return true
		})
	}
	return faults
}

// identifier is the name that an expression ends in: Now of time.Now.
func identifier(e ast.Expr) *ast.Ident {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return e.Sel
	}
	return nil
}

// variable is the name that an assignable expression begins with: names of names["a"].first.
func variable(e ast.Expr) *ast.Ident {
	switch e := ast.Unparen(e).(type) {
	case *ast.Ident:
		return e
	case *ast.SelectorExpr:
		return variable(e.X)
	case *ast.IndexExpr:
		return variable(e.X)
	case *ast.StarExpr:
		return variable(e.X)
	}
	return nil
}

func at(pkg *packages.Package, node interface{ Pos() token.Pos }) string {
	position := pkg.Fset.Position(node.Pos())
	return fmt.Sprintf("%s:%d:%d", filepath.Base(position.Filename), position.Line, position.Column)
}
