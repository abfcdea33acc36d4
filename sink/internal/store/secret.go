package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SecretBytes is the length of the secret of the keyed hashes.
const SecretBytes = 32

const secretFile = "forget.key"

// ErrSecret says that the file with the secret of the keyed hashes is there and has another length.
var ErrSecret = errors.New("store: forget.key must have 32 bytes: it is damaged, or not the sink's")

// Secret is the secret of the keyed hashes; known is false where there is none yet.
func (s *Store) Secret() (secret [SecretBytes]byte, known bool, err error) {
	f, err := s.files.Open(s.files.PathJoin(s.dir, secretFile))
	if errors.Is(err, fs.ErrNotExist) {
		return secret, false, nil
	}
	if err != nil {
		return secret, false, fmt.Errorf("store: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, SecretBytes+1))
	if err != nil {
		return secret, false, fmt.Errorf("store: %w", err)
	}
	if len(text) != SecretBytes {
		return secret, false, ErrSecret
	}
	return [SecretBytes]byte(text), true, nil
}

// MakeSecret is Secret, and makes one where there is none. It is on the disk before it returns.
func (s *Store) MakeSecret() ([SecretBytes]byte, error) {
	secret, known, err := s.Secret()
	if known || err != nil {
		return secret, err
	}
	_, _ = rand.Read(secret[:]) // never fails, by its documentation
	return secret, s.PutSecret(secret)
}

// PutSecret keeps a secret that another store had, unless there is one.
func (s *Store) PutSecret(secret [SecretBytes]byte) error {
	if _, known, err := s.Secret(); known || err != nil {
		return err
	}
	if err := s.writeSecret(secret[:]); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

// writeSecret puts the file in its place whole: half a secret would be another one.
func (s *Store) writeSecret(secret []byte) error {
	path := s.files.PathJoin(s.dir, secretFile)
	f, err := s.files.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if s.onDisk {
		err = os.Chmod(path+".new", 0o600) // before anything stands in it
	}
	if err == nil {
		_, err = f.Write(secret)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.files.Rename(path+".new", path); err != nil {
		return err
	}
	dir, err := s.files.OpenDir(s.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
