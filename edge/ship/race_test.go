//go:build race

package ship

const raceBuild = true
