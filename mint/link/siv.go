package link

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

const blockSize = aes.BlockSize

// siv is RFC 5297's AES-SIV under one key and one fixed list of associated data. The associated data of a link is its header byte, which never
// changes for a key slot, so their part of S2V is computed once, in newSIV.
//
// Neither seal nor open allocates: all blocks that pass through the cipher.Block interface live in a caller's work (a pointer that goes through
// an interface escapes, so blocks on the stack would be allocations).
type siv struct {
	mac cipher.Block // K1 of the RFC
	ctr cipher.Block // K2 of the RFC

	// CMAC's subkeys: whole for a last block that is complete, padded for one that had to be padded.
	whole, padded block

	// chain is S2V's D after all associated data.
	chain block
}

// block is a cipher block as two big-endian halves.
type block struct{ high, low uint64 }

// work is memory for blocks on their way through the cipher.
type work struct {
	sum     [blockSize]byte // CMAC's state, then the synthetic IV
	counter [blockSize]byte
	stream  [blockSize]byte
}

// newSIV prepares key, of 32, 48 or 64 bytes. The halves are AES keys.
func newSIV(key []byte, associated ...[]byte) (*siv, error) {
	if len(key) != 32 && len(key) != 48 && len(key) != 64 {
		return nil, aes.KeySizeError(len(key))
	}
	s := new(siv)
	var err error
	if s.mac, err = aes.NewCipher(key[:len(key)/2]); err != nil {
		return nil, err
	}
	if s.ctr, err = aes.NewCipher(key[len(key)/2:]); err != nil {
		return nil, err
	}
	w := new(work)
	s.mac.Encrypt(w.sum[:], w.sum[:])
	s.whole = loadBlock(w.sum[:]).double()
	s.padded = s.whole.double()

	s.cmac(w, make([]byte, blockSize))
	s.chain = loadBlock(w.sum[:])
	for _, data := range associated {
		s.cmac(w, data)
		s.chain = s.chain.double().xor(loadBlock(w.sum[:]))
	}
	return s, nil
}

// seal encrypts plain in place; the synthetic IV, 16 bytes, is in w.sum afterwards.
func (s *siv) seal(w *work, plain []byte) {
	s.vector(w, plain)
	s.crypt(w, w.sum[:], plain)
}

// open decrypts sealed in place and says whether iv is its synthetic IV. What it leaves in sealed means nothing when it is not.
func (s *siv) open(w *work, iv, sealed []byte) bool {
	s.crypt(w, iv, sealed)
	s.vector(w, sealed)
	return subtle.ConstantTimeCompare(w.sum[:], iv) == 1
}

// vector leaves in w.sum S2V of the associated data and plain. Plain is changed underway and restored.
func (s *siv) vector(w *work, plain []byte) {
	if len(plain) < blockSize {
		// The padded string is a complete block, so CMAC takes the subkey of complete blocks.
		storeBlock(w.sum[:], padBlock(plain).xor(s.chain.double()).xor(s.whole))
		s.mac.Encrypt(w.sum[:], w.sum[:])
		return
	}
	tail := plain[len(plain)-blockSize:]
	own := loadBlock(tail)
	storeBlock(tail, own.xor(s.chain))
	s.cmac(w, plain)
	storeBlock(tail, own)
}

// cmac leaves RFC 4493's CMAC of data in w.sum.
func (s *siv) cmac(w *work, data []byte) {
	var sum block
	for len(data) > blockSize {
		storeBlock(w.sum[:], sum.xor(loadBlock(data)))
		s.mac.Encrypt(w.sum[:], w.sum[:])
		sum = loadBlock(w.sum[:])
		data = data[blockSize:]
	}
	if len(data) == blockSize {
		sum = sum.xor(loadBlock(data)).xor(s.whole)
	} else {
		sum = sum.xor(padBlock(data)).xor(s.padded)
	}
	storeBlock(w.sum[:], sum)
	s.mac.Encrypt(w.sum[:], w.sum[:])
}

// crypt is CTR mode from the counter that iv stands for; it encrypts and decrypts. Counting by hand, as cipher.NewCTR allocates.
// The RFC clears the top bits of the counter's two last words, so adding to the low half never carries out of it.
func (s *siv) crypt(w *work, iv, data []byte) {
	counter := loadBlock(iv)
	counter.low &^= 1<<63 | 1<<31
	binary.BigEndian.PutUint64(w.counter[:8], counter.high)
	for ; len(data) > 0; counter.low++ {
		binary.BigEndian.PutUint64(w.counter[8:], counter.low)
		s.ctr.Encrypt(w.stream[:], w.counter[:])
		if len(data) < blockSize {
			for i := range data {
				data[i] ^= w.stream[i]
			}
			return
		}
		storeBlock(data, loadBlock(data).xor(loadBlock(w.stream[:])))
		data = data[blockSize:]
	}
}

func (b block) xor(o block) block { return block{b.high ^ o.high, b.low ^ o.low} }

// double is multiplication by x in GF(2^128), without a branch on the secret bit.
func (b block) double() block {
	carry := -(b.high >> 63) & 0x87
	return block{b.high<<1 | b.low>>63, b.low<<1 ^ carry}
}

func loadBlock(p []byte) block {
	_ = p[blockSize-1]
	return block{binary.BigEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])}
}

func storeBlock(p []byte, b block) {
	_ = p[blockSize-1]
	binary.BigEndian.PutUint64(p, b.high)
	binary.BigEndian.PutUint64(p[8:], b.low)
}

// padBlock is data (under 16 bytes), a one bit and zeros.
func padBlock(data []byte) block {
	var p [blockSize]byte
	n := copy(p[:], data)
	p[n] = 0x80
	return loadBlock(p[:])
}
