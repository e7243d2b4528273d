package recommend_test

import (
	"fmt"
	"strings"

	"bespoke/host/recommend"
)

func Example() {
	r, err := recommend.Open("", recommend.Options{Manual: true, Support: 3}) // "" keeps nothing on disk
	if err != nil {
		panic(err)
	}
	defer r.Close()
	err = r.Load(strings.NewReader(`{"id":"tent","title":"Tent","price":120,"was":150}
{"id":"mat","title":"Mat","price":20}
{"id":"stove","title":"Stove","price":45,"stock":false}
{"id":"lamp","title":"Lamp","price":15}
`), nil)
	if err != nil {
		panic(err)
	}
	c := r.Catalogue()
	tent, _ := c.Number("tent")
	mat, _ := c.Number("mat")
	stove, _ := c.Number("stove")

	// Three visitors, who agreed, look at the tent and buy a mat and a stove with it.
	for visitor := range uint64(3) {
		for _, e := range []recommend.Event{
			{Kind: recommend.View, Item: tent},
			{Kind: recommend.Purchase, Item: tent},
			{Kind: recommend.Purchase, Item: mat},
			{Kind: recommend.Purchase, Item: stove},
		} {
			e.Session, e.Visitor = 100+visitor, 1+visitor
			r.Event(e)
		}
	}
	r.Settle() // sessions count when they close

	for _, it := range r.Band(recommend.BoughtTogether, recommend.Query{Item: tent, N: 2}) {
		fmt.Println(it.Title) // the stove is out of stock; the lamp fills up
	}
	for _, it := range r.Band(recommend.ForYou, recommend.Query{Recent: []uint32{tent}, Hidden: []uint32{mat}, N: 1}) {
		fmt.Println(it.Title)
	}
	// Output:
	// Mat
	// Lamp
	// Tent
}
