package examples

import (
	"embed"
	"net/http"
)

//go:embed lessons
var lessonsFiles embed.FS

// lessons is the origin of a course: its exercises in the order of the course,
// from the first level to the last, and by skill.
func lessons() http.Handler {
	all := catalogue(lessonsFiles, "lessons/exercises.jsonl")
	skills := grouped(all, "needs")
	f := frame{
		Name: "lessons", Brand: "Stepstone", Footer: "Stepstone. One exercise at a time.",
		Nav: []link{{Href: "/", Label: "Next"}, {Href: "/needs.html", Label: "What to work on"}},
		Data: struct {
			All    []item
			Skills []label
		}{all, skills},
	}
	s := build(lessonsFiles, f, nil)
	skill := parsePage(lessonsFiles, "lessons", "lessons/one/skill.html", nil)
	for _, l := range skills {
		url := "/skill/" + l.Name + ".html"
		s.put(url, skill(page{frame: f, Page: "skill", Path: url, One: l}))
	}
	exercise := parsePage(lessonsFiles, "lessons", "lessons/one/exercise.html", nil)
	for _, e := range all {
		s.put(e.URL, exercise(page{frame: f, Page: "exercise", Path: e.URL, One: e}))
	}
	return s
}
