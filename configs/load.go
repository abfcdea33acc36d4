package configs

// LoadEdge reads edge.yaml and the tenants it names: every fault of both, and of the file of machines, at once; checks find further faults of tenants. env is os.Environ's form.
// What could be read is returned beside faults too.
func LoadEdge(path string, env []string, checks ...TenantCheck) (*Edge, *Tenants, Faults) {
	cfg := DefaultEdge()
	l := load(&cfg, path, env, checks...)
	return &cfg, l.tenants, l.faults
}

// LoadMint reads mint.yaml and the tenants it names; checks find further faults of tenants.
func LoadMint(path string, env []string, checks ...TenantCheck) (*Mint, *Tenants, Faults) {
	cfg := DefaultMint()
	l := load(&cfg, path, env, checks...)
	return &cfg, l.tenants, l.faults
}

// LoadSink reads sink.yaml and the tenants it names.
func LoadSink(path string, env []string) (*Sink, *Tenants, Faults) {
	cfg := DefaultSink()
	l := load(&cfg, path, env)
	return &cfg, l.tenants, l.faults
}

// program is the settings of one program.
type program interface {
	group() group
	name() string
	// paths are the settings that are paths.
	paths() []*string
	// files are the paths to the key file, nil where the program needs none, and to the tenants.
	files() (keys, tenants *string)
	// kafka are the brokers, nil where the program speaks to none.
	kafka() *Kafka
}

func (*Edge) name() string { return "edge" }
func (*Mint) name() string { return "mint" }
func (*Sink) name() string { return "sink" }

func (e *Edge) paths() []*string {
	return append(e.Kafka.paths(), &e.Keys, &e.Tenants, &e.Blocks, &e.Machines, &e.Journal.Dir, &e.Aside.Dir)
}
func (m *Mint) paths() []*string { return []*string{&m.Keys, &m.Tenants} }
func (s *Sink) paths() []*string {
	paths := append(s.Kafka.paths(), &s.Tenants, &s.Store, &s.Geo.Database)
	for i := range s.Journals {
		paths = append(paths, &s.Journals[i])
	}
	return paths
}

func (e *Edge) files() (keys, tenants *string) { return &e.Keys, &e.Tenants }
func (m *Mint) files() (keys, tenants *string) { return &m.Keys, &m.Tenants }
func (s *Sink) files() (keys, tenants *string) { return nil, &s.Tenants }

func (e *Edge) kafka() *Kafka { return &e.Kafka }
func (*Mint) kafka() *Kafka   { return nil }
func (s *Sink) kafka() *Kafka { return &s.Kafka }

// loaded is what comes of a settings file and its tenants.
type loaded struct {
	tenants  *Tenants
	faults   Faults
	warnings Faults
}

func load(cfg program, path string, env []string, checks ...TenantCheck) loaded {
	r := newReader(path, env)
	if !r.load(cfg.group()) {
		return loaded{&Tenants{}, r.faults, nil}
	}
	for _, p := range cfg.paths() {
		*p = r.resolve(*p)
	}
	keys, tenantsPath := cfg.files()
	if keys != nil {
		if problem := checkPrivate(*keys); problem != "" {
			r.late("keys", *keys, problem)
		}
	}
	if k := cfg.kafka(); k != nil {
		k.checkFiles(r)
	}
	tenants, tr := loadTenants(r, *tenantsPath, env, checks)
	if s, ok := cfg.(*Sink); ok {
		s.adviseTenants(tr, tenants)
	}
	faults := append(r.faults.sorted(), tr.faults.sorted()...)
	if e, ok := cfg.(*Edge); ok {
		_, found := LoadMachines(e.Machines, env)
		faults = append(faults, found...)
	}
	return loaded{
		tenants:  tenants,
		faults:   faults,
		warnings: append(r.warnings.sorted(), tr.warnings.sorted()...),
	}
}

// loadTenants reads the tenants; that their file is missing is a fault of the file that names it.
func loadTenants(outer *reader, path string, env []string, checks []TenantCheck) (*Tenants, *reader) {
	r := newReader(path, env)
	r.hide = true
	file := tenantsFile{defaults: DefaultTenant()}
	if text, err := readFile(path, maxFile); err != nil {
		outer.late("tenants", path, "must be a file that can be read: "+reason(err))
	} else {
		r.read(text, file.group())
		file.judge(r, checks)
	}
	return &Tenants{List: file.list}, r
}
