// Package traffic is what reaches Waypost from outside: Outreach asking mint for links, and people following them. The crash test, the soak and the
// load runs share it; none of it is sent twice, so that what was answered can be counted.
package traffic
