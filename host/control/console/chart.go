package console

import (
	"fmt"
	"strconv"
	"strings"
)

// A chart is columns or lines over time. A page shows it as inline SVG with its
// words beside it as text, so that they are as large as other text on every
// screen; and as a table, which says the same.
type chart struct {
	ID, Title string
	Summary   string // what the picture shows, for who does not see it
	Unit      string // of the values, for the axis
	Columns   []string
	Ends      [3]string // under the first column, the middle, the last
	Series    []series
	Lines     bool // lines, each from zero; else columns, stacked
	write     func(float64) string
}

// A series is one colour of a chart.
type series struct {
	Name   string
	Class  string // of the style sheet
	Values []float64
}

// chartHeight is the height of a chart's drawing, and columnWidth the width of a
// column, in units of its own: the drawing is stretched to the page.
const (
	chartHeight = 100.0
	columnWidth = 10.0
)

// Top is the value at the top of the chart: a round one, above all.
func (c *chart) Top() float64 {
	top := 0.0
	for i := range c.Columns {
		sum := 0.0
		for _, s := range c.Series {
			if c.Lines {
				sum = max(sum, s.Values[i])
			} else {
				sum += s.Values[i]
			}
		}
		top = max(top, sum)
	}
	return roundUp(top)
}

// roundUp returns the next of 1, 2, 4, 5, 10, 20, ... whose half is round too.
func roundUp(x float64) float64 {
	if x <= 0 {
		return 2
	}
	step := 1.0
	for step*10 < x {
		step *= 10
	}
	for step >= x {
		step /= 10
	}
	for _, f := range [...]float64{1, 2, 4, 6, 8, 10} {
		if f*step >= x {
			return f * step
		}
	}
	return 10 * step
}

// Write writes a value in the chart's unit.
func (c *chart) Write(v float64) string {
	if c.write != nil {
		return c.write(v)
	}
	return num(strconv.FormatFloat(v, 'f', 0, 64))
}

// Axis has the words beside the chart: at the top, in the middle, at the bottom.
func (c *chart) Axis() [3]string {
	top := c.Top()
	return [3]string{c.Write(top), c.Write(top / 2), c.Write(0)}
}

// ViewBox is the SVG attribute.
func (c *chart) ViewBox() string {
	return fmt.Sprintf("0 0 %g %g", columnWidth*float64(max(len(c.Columns), 1)), chartHeight)
}

// Width is that of the drawing.
func (c *chart) Width() float64 { return columnWidth * float64(max(len(c.Columns), 1)) }

// A bar is one rectangle.
type bar struct {
	X, Y, W, H, Class string
}

func unit(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }

// Bars returns the rectangles of stacked columns. One that is not zero is never
// too low to be seen.
func (c *chart) Bars() (bars []bar) {
	if c.Lines {
		return nil
	}
	top := c.Top()
	for i := range c.Columns {
		y := chartHeight
		for _, s := range c.Series {
			if s.Values[i] <= 0 {
				continue
			}
			h := max(s.Values[i]/top*chartHeight, 0.8)
			y -= h
			bars = append(bars, bar{unit(float64(i)*columnWidth + 1), unit(y), unit(columnWidth - 2), unit(h), s.Class})
		}
	}
	return bars
}

// A path is one line.
type path struct{ D, Class string }

// Paths returns the lines. Where a value is below zero, there is none.
func (c *chart) Paths() (paths []path) {
	if !c.Lines {
		return nil
	}
	top := c.Top()
	for _, s := range c.Series {
		var d strings.Builder
		pen := "M"
		for i, v := range s.Values {
			if v < 0 {
				pen = "M"
				continue
			}
			fmt.Fprintf(&d, "%s%s %s", pen, unit((float64(i)+0.5)*columnWidth), unit(chartHeight*(1-v/top)))
			if pen == "M" { // a point by itself is seen, too
				fmt.Fprintf(&d, "h0.01")
			}
			pen = "L"
		}
		paths = append(paths, path{d.String(), s.Class})
	}
	return paths
}

// A column is what one place of the time axis says: in a hint, and in the table.
type column struct {
	X, W, Name, Hint string
	Values           []string
}

// Spots returns the columns.
func (c *chart) Spots() []column {
	out := make([]column, len(c.Columns))
	for i, name := range c.Columns {
		o := &out[i]
		*o = column{X: unit(float64(i) * columnWidth), W: unit(columnWidth), Name: name}
		var hint strings.Builder
		hint.WriteString(name)
		for _, s := range c.Series {
			v := "–"
			if s.Values[i] >= 0 {
				v = c.Write(s.Values[i])
			}
			o.Values = append(o.Values, v)
			fmt.Fprintf(&hint, "\n%s: %s", s.Name, v)
		}
		o.Hint = hint.String()
	}
	return out
}

// spark is the path of a row's own small columns, scaled to itself.
func spark(values []uint64) string {
	var top uint64
	for _, v := range values {
		top = max(top, v)
	}
	var d strings.Builder
	for i, v := range values {
		if v > 0 {
			h := max(float64(v)/float64(top)*18, 1)
			fmt.Fprintf(&d, "M%d 20v-%sh3v%sz", i*4, unit(h), unit(h))
		}
	}
	return d.String()
}
