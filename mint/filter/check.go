package filter

import "waypost/configs"

// CheckTenant is a configs.TenantCheck of a tenant's filter.
func CheckTenant(t *configs.Tenant) []configs.TenantFault {
	if t.Filter == "" {
		return nil
	}
	if _, err := Compile(t.Filter); err != nil {
		return []configs.TenantFault{{Key: "filter", Want: "must be a PCRE expression: " + err.Error()}}
	}
	return nil
}
