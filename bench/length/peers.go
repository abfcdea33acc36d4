package length

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// jwtHeader is what libraries write, without white space.
const jwtHeader = `{"alg":"HS256","typ":"JWT"}`

var encoding = base64.RawURLEncoding

// appendJWT appends header and claims in the compact serialization of RFC 7515, signed with HS256.
func appendJWT(dst, key, header, claims []byte) []byte {
	begin := len(dst)
	dst = encoding.AppendEncode(dst, header)
	dst = append(dst, '.')
	dst = encoding.AppendEncode(dst, claims)
	mac := sign(key, dst[begin:])
	dst = append(dst, '.')
	return encoding.AppendEncode(dst, mac)
}

// appendHMAC appends claims, a dot and the first size bytes of the HMAC-SHA256 over the encoded claims.
func appendHMAC(dst, key, claims []byte, size int) []byte {
	begin := len(dst)
	dst = encoding.AppendEncode(dst, claims)
	mac := sign(key, dst[begin:])
	dst = append(dst, '.')
	return encoding.AppendEncode(dst, mac[:size])
}

func sign(key, text []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return mac.Sum(nil)
}

// fernetVersion is the only one that the specification has.
const fernetVersion = 0x80

// appendFernet appends the token of message. The key is the 16 bytes that sign, then the 16 that encrypt.
//
//	+---------+---------+-------+-----------------------------+---------+
//	| 0x80  1 | time  8 | IV 16 | AES-128-CBC of the message, | HMAC 32 |   base64url with padding
//	|         |         |       | PKCS #7                     |         |
//	+---------+---------+-------+-----------------------------+---------+
func appendFernet(dst []byte, key [32]byte, seconds uint64, iv [aes.BlockSize]byte, message []byte) []byte {
	token := binary.BigEndian.AppendUint64([]byte{fernetVersion}, seconds)
	token = append(token, iv[:]...)
	sealed := len(token)
	token = append(token, message...)
	pad := aes.BlockSize - len(message)%aes.BlockSize
	token = append(token, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, err := aes.NewCipher(key[16:])
	if err != nil {
		panic("BUG: " + err.Error()) // only a key of another length is an error
	}
	cipher.NewCBCEncrypter(block, iv[:]).CryptBlocks(token[sealed:], token[sealed:])
	token = append(token, sign(key[:16], token)...)
	return base64.URLEncoding.AppendEncode(dst, token)
}
