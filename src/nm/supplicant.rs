//! wpa_supplicant, which NetworkManager has 802.1X done by: it knows at once that a login was refused, where
//! NetworkManager gives it 25 s, three times (its D-Bus interface, `fi.w1.wpa_supplicant1.Interface`).

use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::timeout;
use zbus::message::Type;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant, connection};

use super::Error;

const NAME: &str = "fi.w1.wpa_supplicant1";
const INTERFACE: &str = "fi.w1.wpa_supplicant1.Interface";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
/// Longest wait for the bus, or for the name of a link.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Logins that are refused, as they are.
pub struct Refusals {
    bus: Connection,
    signals: MessageStream,
    /// Whose link is asked for.
    heard: Option<Message>,
}

impl Refusals {
    /// From now on. wpa_supplicant need not be there.
    pub(super) async fn listen(address: Option<&str>) -> Result<Self, Error> {
        let listening = async {
            let builder = match address {
                Some(address) => connection::Builder::address(address),
                None => connection::Builder::system(),
            };
            let bus = builder.build().await?;
            let rule = MatchRule::builder().msg_type(Type::Signal).sender(NAME);
            let rule = rule.interface(INTERFACE).member("EAP").build()?;
            let signals = MessageStream::for_match_rule(rule, &bus, None).await?;
            zbus::Result::Ok(Self { bus, signals, heard: None })
        };
        match timeout(ANSWER_MAX, listening).await {
            Ok(listening) => listening.map_err(|error| Error::disconnected(&error.to_string())),
            Err(_) => Err(Error::no_reply("the bus does not answer in time")),
        }
    }

    /// The link of the next one. None: nobody tells any more. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let Some(message) = &self.heard else {
                self.heard = Some(self.signals.next().await?.ok()?).filter(is_refusal);
                continue;
            };
            let link = timeout(ANSWER_MAX, self.link(message)).await;
            self.heard = None;
            if let Ok(Some(link)) = link {
                return Some(link);
            }
        }
    }

    async fn link(&self, message: &Message) -> Option<String> {
        let header = message.header();
        let (sender, path) = (header.sender()?, header.path()?);
        let body = (INTERFACE, "Ifname");
        let reply = self.bus.call_method(Some(sender), path, Some(PROPERTIES), "Get", &body).await.ok()?;
        let value: OwnedVariant = reply.body().deserialize().ok()?;
        String::try_from(value).ok()
    }
}

/// What is signalled is a status and a parameter, as `completion`, `failure`.
fn is_refusal(message: &Message) -> bool {
    let body = message.body();
    body.deserialize::<(&str, &str)>().is_ok_and(|said| said == ("completion", "failure"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_completion_is_a_refusal() {
        let said = |status: &str, parameter: &str| {
            let signal = Message::signal("/fi/w1/wpa_supplicant1/Interfaces/0", INTERFACE, "EAP");
            is_refusal(&signal.build(&(status, parameter)).expect("a message"))
        };
        assert!(said("completion", "failure"));
        assert!(!said("completion", "success") && !said("started", "") && !said("failure", "completion"));
    }
}
