package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"bespoke/host/edge"
)

// logFlags say what is logged, and how.
type logFlags struct{ level, format string }

func (l *logFlags) add(cmd *cobra.Command, level, format string) {
	cmd.Flags().StringVar(&l.level, "log", level, "least severe `LEVEL` to log: lines (what policies of files write, which may hold what they read of visitors), debug, info, warn, error")
	cmd.Flags().StringVar(&l.format, "log-format", format, "`FORMAT` of the log: json or text, a line each")
}

func (l *logFlags) logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if l.level == "lines" {
		level = edge.LevelLines
	} else if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, usageError{fmt.Errorf("--log %q: want lines, debug, info, warn or error", l.level)}
	}
	o := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	}
	return nil, usageError{fmt.Errorf("--log-format %q: want json or text", l.format)}
}
