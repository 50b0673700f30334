//! What the bank holds. Every collection is bounded.

use super::problem::Problem;
use serde::Serialize;
use std::collections::VecDeque;

/// The most cards, and the most payments remembered.
pub(super) const CAPACITY: usize = 1000;
/// The most characters of a holder's or payee's name.
const NAME_LIMIT: usize = 100;

/// Where the money is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Account {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) currency: &'static str,
    /// Cents.
    pub(super) balance: u64,
}

/// Plastic, on an account.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Card {
    pub(super) id: String,
    pub(super) account_id: &'static str,
    pub(super) holder: String,
    pub(super) last_four: String,
    /// Cents a month.
    pub(super) spending_limit: u64,
    pub(super) status: CardStatus,
}

/// Whether a card pays.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum CardStatus {
    /// It does.
    Active,
    /// Not for now.
    Frozen,
}

/// Money that left.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Payment {
    pub(super) id: String,
    pub(super) account_id: &'static str,
    pub(super) to: String,
    /// Cents.
    pub(super) amount: u64,
}

/// The whole bank.
pub(super) struct Bank {
    accounts: [Account; 2],
    cards: Vec<Card>,
    /// Newest first.
    payments: VecDeque<Payment>,
    cards_made: u64,
    payments_made: u64,
}

impl Default for Bank {
    /// Two accounts, two cards and a payment: every listing shows something.
    fn default() -> Self {
        let mut bank = Self {
            accounts: [
                Account { id: "acc_main", name: "Everyday", currency: "EUR", balance: 1_250_000 },
                Account { id: "acc_savings", name: "Rainy days", currency: "EUR", balance: 4_200_000 },
            ],
            cards: Vec::new(),
            payments: VecDeque::new(),
            cards_made: 0,
            payments_made: 0,
        };
        // The seeds are within every bound; a bank without them would still work.
        let _ = bank.add_card("acc_main", "Ada Lovelace", 50_000);
        let _ = bank.add_card("acc_savings", "Charles Babbage", 10_000);
        let _ = bank.pay("acc_main", "Coffee & Co", 450);
        bank
    }
}

impl Bank {
    pub(super) const fn accounts(&self) -> &[Account; 2] {
        &self.accounts
    }

    pub(super) fn account(&self, id: &str) -> Result<&Account, Problem> {
        self.accounts
            .iter()
            .find(|account| account.id == id)
            .ok_or_else(|| Problem::not_found("there is no such account"))
    }

    pub(super) fn cards(&self) -> &[Card] {
        &self.cards
    }

    pub(super) fn card(&self, id: &str) -> Result<&Card, Problem> {
        self.cards.iter().find(|card| card.id == id).ok_or_else(no_card)
    }

    pub(super) fn card_mut(&mut self, id: &str) -> Result<&mut Card, Problem> {
        self.cards.iter_mut().find(|card| card.id == id).ok_or_else(no_card)
    }

    pub(super) fn add_card(&mut self, account: &str, holder: &str, spending_limit: u64) -> Result<Card, Problem> {
        let account_id = self.account(account)?.id;
        let holder = name("holder", holder)?;
        if self.cards.len() >= CAPACITY {
            return Err(Problem::conflict("the pocket bank has no more plastic: destroy a card first"));
        }
        self.cards_made += 1;
        let number = self.cards_made;
        let card = Card {
            id: format!("card_{number}"),
            account_id,
            holder,
            last_four: format!("{:04}", (number * 7919 + 4242) % 10_000),
            spending_limit,
            status: CardStatus::Active,
        };
        self.cards.push(card.clone());
        Ok(card)
    }

    pub(super) fn remove_card(&mut self, id: &str) -> Result<(), Problem> {
        let index = self.cards.iter().position(|card| card.id == id).ok_or_else(no_card)?;
        self.cards.remove(index);
        Ok(())
    }

    /// Newest first.
    pub(super) const fn payments(&self) -> &VecDeque<Payment> {
        &self.payments
    }

    /// Pays; the oldest payment is forgotten where there would be too many.
    pub(super) fn pay(&mut self, account: &str, to: &str, amount: u64) -> Result<Payment, Problem> {
        let to = name("to", to)?;
        if amount == 0 {
            return Err(Problem::malformed("`amount` is 1 cent or more"));
        }
        let account = self.accounts.iter_mut().find(|known| known.id == account);
        let account = account.ok_or_else(|| Problem::not_found("there is no such account"))?;
        let rest = account.balance.checked_sub(amount);
        account.balance = rest.ok_or_else(|| Problem::conflict("there is not that much money on the account"))?;
        self.payments_made += 1;
        let payment = Payment { id: format!("pay_{}", self.payments_made), account_id: account.id, to, amount };
        self.payments.push_front(payment.clone());
        self.payments.truncate(CAPACITY);
        Ok(payment)
    }
}

/// A name of bounded length, for the field called so.
pub(super) fn name(field: &str, text: &str) -> Result<String, Problem> {
    if text.trim().is_empty() || text.chars().count() > NAME_LIMIT {
        return Err(Problem::malformed(format!("`{field}` has 1 to {NAME_LIMIT} characters")));
    }
    Ok(text.to_owned())
}

fn no_card() -> Problem {
    Problem::not_found("there is no such card")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_stop_at_the_capacity() {
        let mut bank = Bank::default();
        while bank.cards().len() < CAPACITY {
            bank.add_card("acc_main", "x", 0).unwrap();
        }
        assert_eq!(bank.add_card("acc_main", "x", 0).unwrap_err().status(), 409);
        bank.remove_card("card_1").unwrap();
        assert_eq!(bank.add_card("acc_main", "x", 0).unwrap().id, "card_1001");
    }

    #[test]
    fn old_payments_are_forgotten() {
        let mut bank = Bank::default();
        for _ in 0..CAPACITY {
            bank.pay("acc_savings", "x", 1).unwrap();
        }
        assert_eq!(bank.payments().len(), CAPACITY);
        assert_eq!(bank.payments().front().unwrap().id, "pay_1001");
    }

    #[test]
    fn money_is_not_invented() {
        let mut bank = Bank::default();
        assert_eq!(bank.pay("acc_main", "x", 1_250_000).unwrap_err().status(), 409);
        assert_eq!(bank.pay("acc_main", "x", 0).unwrap_err().status(), 400);
        assert_eq!(bank.pay("acc_none", "x", 1).unwrap_err().status(), 404);
        bank.pay("acc_main", "x", 1_250_000 - 450).unwrap();
        assert_eq!(bank.account("acc_main").unwrap().balance, 0);
    }

    #[test]
    fn names_are_bounded() {
        assert!(name("holder", &"é".repeat(100)).is_ok());
        assert!(name("holder", &"é".repeat(101)).is_err());
        assert!(name("holder", " ").is_err());
    }
}
