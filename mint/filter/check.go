package filter

import "waypost/configs"

// CheckTenant is a configs.TenantCheck of a tenant's filter.
func CheckTenant(t *configs.Tenant) (key, want string) {
	if t.Filter == "" {
		return "filter", ""
	}
	if _, err := Compile(t.Filter); err != nil {
		return "filter", "must be a PCRE expression: " + err.Error()
	}
	return "filter", ""
}
