package store

import "encoding/binary"

const webhookVersion = 1

// WebhookKey is the key of a tenant's webhook that was made through the API.
func WebhookKey(tenant, number uint32) []byte {
	key := binary.BigEndian.AppendUint32([]byte{webhookSpace}, tenant)
	return binary.BigEndian.AppendUint32(key, number)
}

// AppendWebhook appends a webhook's value.
func AppendWebhook(dst, document []byte) []byte {
	return append(append(dst, webhookVersion), document...)
}

// ParseWebhook reads a webhook's key and value. The document points into the value.
func ParseWebhook(key, value []byte) (tenant, number uint32, document []byte, err error) {
	if len(key) != 9 || key[0] != webhookSpace || len(value) < 1 || value[0] != webhookVersion {
		return 0, 0, nil, ErrKey
	}
	return binary.BigEndian.Uint32(key[1:]), binary.BigEndian.Uint32(key[5:]), value[1:], nil
}

// LastWebhookKey is the key of the highest number that a webhook ever had: numbers are not given twice, because what was due to a removed one may still be there.
func LastWebhookKey() []byte { return []byte{lastSpace} }

// AppendLastWebhook appends its value.
func AppendLastWebhook(dst []byte, number uint32) []byte {
	return binary.BigEndian.AppendUint32(dst, number)
}

// ParseLastWebhook reads its value.
func ParseLastWebhook(value []byte) (uint32, error) {
	if len(value) != 4 {
		return 0, ErrKey
	}
	return binary.BigEndian.Uint32(value), nil
}
