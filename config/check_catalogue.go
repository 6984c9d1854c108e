package config

// crossCheck is filled in check_links.go.
func crossCheck(d, k *decoder, c *Config) {}
