package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"

	"github.com/spf13/cobra"

	"bespoke/geo"
	"bespoke/host/config"
	"bespoke/host/edge"
)

func geoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "geo",
		Short: "Ask the geo database",
		Args:  args(cobra.NoArgs),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(geoLookupCommand())
	return cmd
}

// lookup is what is printed for one address.
type lookup struct {
	Address      string    `json:"address"`
	Known        bool      `json:"known"`
	Continent    string    `json:"continent,omitempty"`
	Country      string    `json:"country,omitempty"`
	Region       string    `json:"region,omitempty"`
	RegionName   string    `json:"region_name,omitempty"`
	City         string    `json:"city,omitempty"`
	TimeZone     string    `json:"timezone,omitempty"`
	Lat          *float64  `json:"lat,omitempty"`
	Lon          *float64  `json:"lon,omitempty"`
	Cell         []float64 `json:"cell,omitempty"` // the point that policies may be given
	Jurisdiction string    `json:"jurisdiction"`
	Regime       string    `json:"regime"`
	Attribution  string    `json:"attribution,omitempty"`
}

func geoLookupCommand() *cobra.Command {
	var path, file string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lookup ADDRESS...",
		Short: "Print the place of addresses, and the rules that hold there",
		Long: `Print where addresses are, as the geo database knows it, and under which
jurisdiction's default their visitors fall (no legal advice). The database is
named by --geo, or taken from the configuration that -c names.
Exit status 1 if no address is known.`,
		Example: "  bespoke geo lookup --geo ./geodata 192.0.2.7\n  bespoke geo lookup -c bespoke.yaml 2001:db8::7",
		Args:    args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, addrs []string) error {
			if (path == "") == (file == "") {
				return usageError{fmt.Errorf("name one database: --geo PATH or -c FILE")}
			}
			if file != "" {
				site, err := config.Load(file, edge.Unchecked{})
				if err != nil {
					return err
				}
				if path = site.Geo; path == "" {
					return fmt.Errorf("%s names no geo database: every place is unknown", file)
				}
			}
			list := make([]netip.Addr, len(addrs))
			for i, a := range addrs {
				var err error
				if list[i], err = netip.ParseAddr(a); err != nil {
					return usageError{fmt.Errorf("%q is no IP address", a)}
				}
			}
			db, err := geo.Open(path)
			if err != nil {
				return err
			}
			defer db.Close()
			return printLookups(cmd.OutOrStdout(), db, list, asJSON)
		},
	}
	cmd.Flags().StringVar(&path, "geo", "", "the database, a file or folder `PATH`")
	cmd.Flags().StringVarP(&file, "config", "c", "", "take the database from this configuration `FILE`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return cmd
}

func printLookups(w io.Writer, db *geo.DB, list []netip.Addr, asJSON bool) error {
	known := 0
	for _, a := range list {
		l := find(db, a)
		if l.Known {
			known++
		}
		if asJSON {
			if err := json.NewEncoder(w).Encode(l); err != nil {
				return err
			}
			continue
		}
		l.print(w)
	}
	if a := db.Info().Attribution; a != "" && !asJSON {
		fmt.Fprintln(w, a)
	}
	if known == 0 {
		return errAnswered
	}
	return nil
}

func find(db *geo.DB, a netip.Addr) lookup {
	p := db.Lookup(a)
	j := geo.JurisdictionOf(p.Country, p.Region)
	l := lookup{
		Address: a.String(), Known: p.Country != "" || p.Located,
		Continent: p.Continent, Country: p.Country, Region: p.Region, RegionName: p.RegionName, City: p.City, TimeZone: p.TimeZone,
		Jurisdiction: j.ID, Regime: string(j.Regime), Attribution: db.Info().Attribution,
	}
	if p.Located {
		c := p.At(geo.Cell)
		l.Lat, l.Lon, l.Cell = &p.Lat, &p.Lon, []float64{c.Lat, c.Lon}
	}
	return l
}

func (l *lookup) print(w io.Writer) {
	fmt.Fprintf(w, "%s\n", l.Address)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "  %-13s %s\n", name, value)
		}
	}
	if !l.Known {
		row("place", "unknown")
	}
	row("city", l.City)
	row("region", pair(l.Region, l.RegionName))
	row("country", pair(l.Country, l.Continent))
	row("time zone", l.TimeZone)
	if l.Lat != nil {
		row("point", fmt.Sprintf("%.4f, %.4f", *l.Lat, *l.Lon))
		row("cell", fmt.Sprintf("%.4f, %.4f (what policies may be given)", l.Cell[0], l.Cell[1]))
	}
	row("jurisdiction", l.Jurisdiction+", "+l.Regime)
}

func pair(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + " (" + b + ")"
}
