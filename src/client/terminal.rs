//! The terminal a user sits at, whatever standard input and output are.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;
use nix::sys::termios::{FlushArg, tcflush};

/// Longest answer read.
const ANSWER_BYTES_MAX: usize = 256;

/// The controlling terminal (tty(4)). Its settings stay as they are: a line is an answer.
pub struct Terminal(File);

impl Terminal {
    /// None where nobody would see a question: there is no controlling terminal, or all output goes
    /// elsewhere.
    pub fn open() -> Option<Self> {
        let is_seen = io::stderr().is_terminal() || io::stdout().is_terminal();
        let tty =
            File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open("/dev/tty");
        tty.ok().filter(|_| is_seen).map(Self)
    }

    /// Drops what was typed before there was a question.
    pub fn forget_typed(&self) -> io::Result<()> {
        Ok(tcflush(&self.0, FlushArg::TCIFLUSH)?)
    }

    /// Writes a question to the beginning of the line.
    pub fn ask(&mut self, question: &str) -> io::Result<()> {
        self.0.write_all(format!("\r\x1b[K{question}").as_bytes())
    }

    /// Writes it again, of the same length; what was typed behind it stays (DECSC and DECRC).
    pub fn ask_again(&mut self, question: &str) -> io::Result<()> {
        self.0.write_all(format!("\x1b7\r{question}\x1b8").as_bytes())
    }

    /// Leaves the line of a question that nobody answered.
    pub fn leave(&mut self) -> io::Result<()> {
        self.0.write_all(b"\n")
    }

    /// The line that was typed; None at its end. Does not wait once the terminal is readable.
    pub fn answer(&mut self) -> io::Result<Option<String>> {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let count = self.0.read(&mut bytes)?;
        Ok((count > 0).then(|| String::from_utf8_lossy(&bytes[..count]).trim().to_lowercase()))
    }
}

/// To wait for an answer together with other things.
impl AsFd for Terminal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
