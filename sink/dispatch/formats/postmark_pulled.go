package formats

// PulledClick is a click as Postmark's messages API tells it: its webhook without the metadata. Members stand in the order of its clients' own types.
type PulledClick struct {
	RecordType    string
	ClickLocation string
	Client        postmarkProgram
	OS            postmarkProgram
	Platform      string
	UserAgent     string
	OriginalLink  string
	Geo           postmarkGeo
	MessageID     string
	ReceivedAt    string
	Tag           string
	Recipient     string
	MessageStream string
}

// PullClick is the document of a click.
func PullClick(in *Input) *PulledClick {
	c := newPostmarkClick(in)
	return &PulledClick{
		c.RecordType, c.ClickLocation, c.Client, c.OS, c.Platform, c.UserAgent, c.OriginalLink, c.Geo, c.MessageID, c.ReceivedAt, c.Tag, c.Recipient, c.MessageStream,
	}
}

// PulledOpen is an open, likewise.
type PulledOpen struct {
	RecordType    string
	FirstOpen     bool
	Client        postmarkProgram
	OS            postmarkProgram
	Platform      string
	UserAgent     string
	ReadSeconds   uint32
	Geo           postmarkGeo
	MessageID     string
	ReceivedAt    string
	Tag           string
	Recipient     string
	MessageStream string
}

// PullOpen is the document of an open.
func PullOpen(in *Input) *PulledOpen {
	o := newPostmarkOpen(in)
	return &PulledOpen{
		o.RecordType, o.FirstOpen, o.Client, o.OS, o.Platform, o.UserAgent, o.ReadSeconds, o.Geo, o.MessageID, o.ReceivedAt, o.Tag, o.Recipient, o.MessageStream,
	}
}

// Facts are what a search may ask of a pulled document beside its recipient, tag and stream, by Postmark's names of the parameters.
func (c *PulledClick) Facts() map[string]string { return facts(&c.Client, &c.OS, &c.Geo, c.Platform) }

// Facts are those of a click.
func (o *PulledOpen) Facts() map[string]string { return facts(&o.Client, &o.OS, &o.Geo, o.Platform) }

func facts(client, os *postmarkProgram, geo *postmarkGeo, platform string) map[string]string {
	return map[string]string{
		"client_name": client.Name, "client_company": client.Company, "client_family": client.Family,
		"os_name": os.Name, "os_company": os.Company, "os_family": os.Family,
		"platform": platform, "country": geo.Country, "region": geo.Region, "city": geo.City,
	}
}
