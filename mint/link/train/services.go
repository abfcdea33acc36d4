package main

import (
	"fmt"
	"strings"
)

// services are links to what mails link to most: profiles, calendars, documents, meetings, videos, forms.
var services = []func(maker) string{
	func(m maker) string { return "https://www.linkedin.com/in/" + m.person() + "-" + m.hex(9) + "/" },
	func(m maker) string { return "https://www.linkedin.com/in/" + strings.ReplaceAll(m.person(), "-", "") },
	func(m maker) string { return "https://www.linkedin.com/in/" + m.person() + "/" },
	func(m maker) string { return "https://www.linkedin.com/company/" + m.company() + "/" },
	func(m maker) string {
		return "https://www.linkedin.com/posts/" + m.person() + "_" + m.slug(3, 6) + "-activity-7" + m.digits(18) + "-" + m.letters(base64url, 4)
	},
	func(m maker) string {
		return "https://calendly.com/" + m.person() + "/" + m.pick(words("30min 15min 60min intro discovery-call demo meeting 30-minute-meeting"))
	},
	func(m maker) string {
		return fmt.Sprintf("https://calendly.com/%s-%s/30min?month=2026-%02d&date=2026-%02d-%02d", m.person(), m.company(), 1+m.IntN(12), 1+m.IntN(12), 1+m.IntN(28))
	},
	func(m maker) string {
		return "https://calendly.com/d/" + m.letters(lowers+digits, 3) + "-" + m.letters(lowers+digits, 3) + "-" + m.letters(lowers+digits, 3) + "/" + m.slug(1, 3)
	},
	func(m maker) string { return "https://meetings.hubspot.com/" + m.person() },
	func(m maker) string {
		return "https://meetings.hubspot.com/" + m.person() + "/" + m.slug(1, 3) + "?uuid=" + m.uuid()
	},
	func(m maker) string {
		return "https://app.hubspot.com/documents/" + m.digits(7) + "/view/" + m.digits(9) + "?accessId=" + m.hex(6)
	},
	func(m maker) string {
		return "https://outlook.office365.com/owa/calendar/" + m.company() + "@" + m.domain() + "/bookings/"
	},
	func(m maker) string {
		return "https://docs.google.com/document/d/1" + m.letters(base64url, 43) + "/edit?usp=sharing"
	},
	func(m maker) string {
		return "https://docs.google.com/spreadsheets/d/1" + m.letters(base64url, 43) + "/edit#gid=" + m.digits(1+m.IntN(10))
	},
	func(m maker) string {
		return "https://docs.google.com/presentation/d/1" + m.letters(base64url, 43) + "/edit?usp=sharing"
	},
	func(m maker) string {
		return "https://docs.google.com/forms/d/e/1FAIpQLS" + m.letters(base64url, 49) + "/viewform"
	},
	func(m maker) string {
		return "https://drive.google.com/file/d/1" + m.letters(base64url, 32) + "/view?usp=sharing"
	},
	func(m maker) string { return "https://drive.google.com/drive/folders/1" + m.letters(base64url, 32) },
	func(m maker) string { return "https://forms.gle/" + m.letters(alnum, 17) },
	func(m maker) string { return "https://goo.gl/maps/" + m.letters(alnum, 17) },
	func(m maker) string {
		return "https://meet.google.com/" + m.letters(lowers, 3) + "-" + m.letters(lowers, 4) + "-" + m.letters(lowers, 3)
	},
	func(m maker) string { return "https://zoom.us/j/" + m.digits(11) },
	func(m maker) string {
		return fmt.Sprintf("https://us%02dweb.zoom.us/j/%s?pwd=%s", 2+m.IntN(5), m.digits(11), m.letters(base64url, 32))
	},
	func(m maker) string {
		return fmt.Sprintf("https://us%02dweb.zoom.us/webinar/register/WN_%s", 2+m.IntN(5), m.letters(base64url, 22))
	},
	func(m maker) string {
		return "https://" + m.company() + ".zoom.us/meeting/register/t" + m.letters(base64url, 35)
	},
	func(m maker) string {
		return "https://teams.microsoft.com/l/meetup-join/19%3ameeting_" + m.letters(alnum, 48) + "%40thread.v2/0?context=%7b%22Tid%22%3a%22" + m.uuid() + "%22%2c%22Oid%22%3a%22" + m.uuid() + "%22%7d"
	},
	func(m maker) string {
		return "https://" + m.company() + ".sharepoint.com/:b:/s/" + m.pick(companies) + "/E" + m.letters(base64url, 43) + "?e=" + m.letters(alnum, 6)
	},
	func(m maker) string {
		return "https://www.dropbox.com/s/" + m.letters(lowers+digits, 15) + "/" + m.slug(1, 4) + ".pdf?dl=0"
	},
	func(m maker) string {
		return "https://www.dropbox.com/scl/fi/" + m.letters(lowers+digits, 21) + "/" + m.slug(1, 4) + ".pdf?rlkey=" + m.letters(lowers+digits, 25) + "&dl=0"
	},
	func(m maker) string { return "https://www.loom.com/share/" + m.hex(32) },
	func(m maker) string {
		return "https://www.notion.so/" + m.company() + "/" + capitalised(m.slug(2, 4)) + "-" + m.hex(32)
	},
	func(m maker) string { return "https://www.youtube.com/watch?v=" + m.letters(base64url, 11) },
	func(m maker) string { return "https://youtu.be/" + m.letters(base64url, 11) },
	func(m maker) string { return "https://vimeo.com/" + m.digits(9) },
	func(m maker) string { return "https://share.vidyard.com/watch/" + m.letters(alnum, 22) },
	func(m maker) string {
		return "https://" + m.company() + ".wistia.com/medias/" + m.letters(lowers+digits, 10)
	},
	func(m maker) string { return "https://" + m.company() + ".typeform.com/to/" + m.letters(alnum, 8) },
	func(m maker) string { return "https://www.surveymonkey.com/r/" + m.letters(alnum, 7) },
	func(m maker) string {
		return "https://www.eventbrite.com/e/" + m.slug(3, 7) + "-tickets-" + m.digits(12)
	},
	func(m maker) string {
		return "https://" + m.company() + ".zendesk.com/hc/en-us/articles/" + m.digits(12) + "-" + m.slug(2, 6)
	},
	func(m maker) string { return "https://github.com/" + m.company() + "/" + m.slug(1, 2) },
	func(m maker) string { return "https://twitter.com/" + m.company() + "/status/1" + m.digits(18) },
	func(m maker) string { return "https://www.facebook.com/" + m.company() },
	func(m maker) string { return "https://www.instagram.com/" + m.company() + "/" },
	func(m maker) string { return "https://www.g2.com/products/" + m.company() + "/reviews" },
	func(m maker) string {
		return "https://www.gartner.com/reviews/market/" + m.slug(2, 4) + "/vendor/" + m.company()
	},
	func(m maker) string {
		return "https://medium.com/@" + m.pick(firstNames) + m.pick(lastNames) + "/" + m.slug(4, 8) + "-" + m.hex(12)
	},
	func(m maker) string { return "https://open.spotify.com/episode/" + m.letters(alnum, 22) },
	func(m maker) string {
		return "https://podcasts.apple.com/us/podcast/" + m.slug(2, 4) + "/id" + m.digits(10)
	},
	func(m maker) string { return "https://apps.apple.com/us/app/" + m.company() + "/id" + m.digits(10) },
	func(m maker) string {
		return "https://play.google.com/store/apps/details?id=com." + m.pick(companies) + "." + m.pick(companies)
	},
	func(m maker) string {
		return "https://" + m.pick(words("bit.ly hubs.ly lnkd.in ow.ly buff.ly")) + "/" + m.letters(alnum, 7)
	},
	func(m maker) string {
		return "https://www.amazon.com/dp/B0" + m.letters(digits+"BCDFGHJKLMNPQRSTVWXYZ", 8)
	},
	func(m maker) string { return "https://" + m.company() + ".my.salesforce.com/" + m.letters(alnum, 18) },
	func(m maker) string { return "https://app.pandadoc.com/document/" + m.letters(alnum, 22) },
	func(m maker) string {
		return "https://go.pardot.com/e/" + m.digits(6) + "/" + m.slug(2, 4) + "/" + m.letters(lowers+digits, 6) + "/" + m.digits(9) + "?h=" + m.letters(base64url, 43)
	},
	func(m maker) string {
		return "https://" + m.company() + ".us" + m.digits(1) + ".list-manage.com/track/click?u=" + m.hex(25) + "&id=" + m.hex(10) + "&e=" + m.hex(10)
	},
	func(m maker) string {
		return "https://www.google.com/maps/place/" + m.company() + "/@" + m.digits(2) + "." + m.digits(7) + ",-" + m.digits(2) + "." + m.digits(7) + ",17z"
	},
}
