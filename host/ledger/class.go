package ledger

// ClassOf returns the class of a key, or of all keys that a declared prefix
// ("profile.affinity.*") stands for; "mixed" where they are of several.
func ClassOf(key string) string { return needOf(key).class }
