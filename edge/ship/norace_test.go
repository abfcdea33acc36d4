//go:build !race

package ship

const raceBuild = false
