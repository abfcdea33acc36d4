package main

import "strings"

// Word lists for links as mails carry them. They are ours; what a model learns from them is the shape of such links and their commonest words.

func words(text string) []string { return strings.Fields(text) }

var (
	firstNames = words(`james mary robert patricia john jennifer michael linda david elizabeth william barbara richard susan joseph jessica thomas
		sarah charles karen christopher lisa daniel nancy matthew betty anthony sandra mark margaret donald ashley steven kimberly andrew emily paul donna
		joshua michelle kenneth carol kevin amanda brian melissa george deborah timothy stephanie ronald rebecca jason laura edward helen jeffrey sharon
		ryan cynthia jacob kathleen gary amy nicholas shirley eric angela jonathan anna stephen brenda larry emma justin nicole scott samantha brandon
		katherine benjamin christine samuel rachel gregory maria alex chris peter julia martin eva lukas sophie jan marie pierre claire luis carmen marco
		giulia ahmed fatima wei mei hiro yuki raj priya ivan olga sven ingrid tom kate mike jen dave sam joe nick ben tim max`)
	lastNames = words(`smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson anderson thomas taylor
		moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson walker young allen king wright scott torres nguyen hill
		flores green adams nelson baker hall rivera campbell mitchell carter roberts gomez phillips evans turner diaz parker cruz edwards collins reyes
		stewart morris morales murphy cook rogers gutierrez ortiz morgan cooper peterson bailey reed kelly howard ramos kim cox ward richardson watson
		brooks chavez wood james bennett gray mendoza ruiz hughes price alvarez castillo sanders patel myers long ross foster muller schmidt schneider
		fischer weber meyer wagner becker hoffmann dubois laurent rossi russo ferrari silva santos kumar singh shah chen wang li zhang liu tanaka sato`)
	companies = words(`acme globex initech umbrella hooli vandelay northwind contoso fabrikam brightwave bluepeak clearpath datahub cloudnine nextgen
		primetech greenfield silverline ironclad redwood summit pinnacle vertex horizon catalyst momentum velocity quantum fusion stellar orbit nova zenith
		apex atlas beacon bridge canvas compass crest delta echo edge ember falcon flux forge frontier harbor keystone lantern lumen matrix meridian
		mosaic nexus oasis onyx orchard pathway phoenix pioneer pivot prism pulse ridge river signal spark sterling stride tandem terra titan trellis
		trident unity vantage vista wave willow zephyr insight analytics digital global media health finance capital partners solutions systems software
		labs group consulting security network data cloud mobile energy logistics education learning marketing`)
	topLevels = words(`com com com com com com io io co net org ai app dev co.uk de eu us ca fr`)
	topics    = words(`pricing guide report product demo webinar ebook whitepaper case study blog sales marketing customer success support security
		compliance data analytics cloud platform integration automation workflow revenue growth pipeline forecast engagement email outreach prospecting
		lead generation account based team leader manager strategy best practices tips how to improve increase reduce save time cost roi benefits
		features overview introduction getting started checklist template playbook trends benchmark survey state of the industry annual quarterly
		update newsletter event conference summit meetup workshop training certification course partner program careers about contact terms privacy
		policy docs api developer tutorial quickstart migration upgrade release notes roadmap new future digital transformation remote work hiring
		onboarding employee experience enterprise startup small business healthcare retail manufacturing finance education software saas ai machine
		learning for your with and in a top 5 10 7 why what is 2023 2024 2025 2026`)
	sections = words(`blog resources resources products solutions customers company about pricing platform features case-studies events webinars ebooks
		whitepapers guides library news press docs help support learn academy demo request-a-demo contact contact-us careers partners integrations
		industries services en en-us us uk de insights articles videos podcast reports downloads landing lp go info offers category tag p post view
		index.html about-us get-started free-trial sign-up signup login register book-a-demo schedule thank-you unsubscribe preferences`)
	mailHosts = words(`gmail.com gmail.com gmail.com yahoo.com hotmail.com outlook.com outlook.com icloud.com aol.com live.com msn.com comcast.net me.com
		googlemail.com yahoo.co.uk hotmail.co.uk gmx.de web.de t-online.de orange.fr free.fr libero.it yandex.ru mail.ru qq.com 163.com proton.me`)

	utmSources = words(`outreach outreach newsletter email hubspot hs_email linkedin google facebook twitter salesloft mailchimp marketo salesforce
		customer.io sendgrid sequence sales partner website blog webinar event referral direct intercom activecampaign klaviyo pardot`)
	utmMediums = words(`email email email email social cpc referral newsletter outbound sales organic display banner sequence drip`)
	utmTerms   = words(`spring summer fall winter q1 q2 q3 q4 launch promo sale welcome onboarding nurture renewal reactivation followup follow-up intro
		cold outbound inbound enterprise smb midmarket demo trial webinar event product update newsletter weekly monthly january february march april may
		june july august september october november december 2023 2024 2025 2026 us emea apac uk global v1 v2 a b test cta button header footer link
		image text signature hero`)
)

// heldTerms are campaign words that no training link has: for judging.
var heldTerms = words(`easter autumn blackfriday roadshow breakfast loyalty winback pilot beta keynote dinner golf charity barcelona austin dublin quarterly
	relaunch kickoff bundle upsell churn advocates council insiders briefing teaser countdown recap survey2 vip`)
